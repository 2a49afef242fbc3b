"""What a custom resource says, told apart from what is only a default of ours.

Modules that render wrap a value that stands where the resource is silent: `Default(2)`. `settle` gives back plain
data and the paths of all defaults. Another field manager's value stays at such a path; at all others ours is
restored.

Paths are in the notation of `metadata.managedFields`, so that one can be looked up in the other:
`("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"gateway"}', "f:image")`. A path ends at a leaf: a
scalar, or a list or map that server-side apply owns as a whole.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_gateway_operator.render.lists import keys_of

Path = tuple[str, ...]

# Maps that server-side apply owns as a whole: label selectors (x-kubernetes-map-type: atomic).
_ATOMIC = frozenset({"labelSelector", "podSelector"})


@dataclass(frozen=True, slots=True)
class Default:
    """A leaf where the custom resource is silent. `value` is plain data."""

    value: Any


def default(value: Any, field: str = "") -> Any:
    """`value` with each of its leaves a `Default`. `field`: the name of the field that holds it."""
    keys = keys_of(field)
    match value:
        case dict() if field not in _ATOMIC:
            return {name: default(entry, name) for name, entry in value.items()}
        case list() if keys:
            # The keys of an entry are no defaults: without them its other fields have no place.
            return [
                {name: part if name in keys else default(part, name) for name, part in entry.items()}
                for entry in value
            ]
    return Default(value)


def said_or(said: Any, otherwise: Any) -> Any:
    """What the resource says; else `otherwise` as a default."""
    return default(otherwise) if said is None else said


def settle(tree: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Plain data, and the paths of all that is only a default, in the order of the data."""
    paths: list[Path] = []
    settled: dict[str, Any] = _settled(tree, "", (), paths)
    return settled, tuple(paths)


def _settled(value: Any, field: str, path: Path, paths: list[Path]) -> Any:
    match value:
        case Default():
            paths.append(path)
            return value.value
        case Mapping():
            return {name: _settled(entry, name, (*path, f"f:{name}"), paths) for name, entry in value.items()}
        case list():
            return [_settled(entry, "", (*path, _entry(entry, keys_of(field))), paths) for entry in value]
    return value


def _entry(entry: Any, keys: tuple[str, ...]) -> str:
    """The step to an entry of a list. One without its keys is the user's: nothing in it is a default."""
    named = {key: entry[key] for key in sorted(keys) if key in entry} if isinstance(entry, Mapping) else {}
    return "k:" + json.dumps(named, separators=(",", ":"), ensure_ascii=False)


def path_text(path: Path) -> str:
    """A path for people: `spec.template.spec.containers[gateway].image`."""
    text = ""
    for step in path:
        if step.startswith("k:"):
            text += f"[{','.join(str(value) for value in json.loads(step[2:]).values())}]"
        else:
            text += f".{step[2:]}"
    return text.removeprefix(".")
