"""The custom resource yields where it is silent: another field manager's value stays in the place of a default.

Pure. Facts of server-side apply that it rests on: after `kubectl scale`, `set image` or `set env`,
`metadata.managedFields` has exactly those fields under kubectl's name and our manager has lost them; an apply that
leaves them out keeps the foreign value, one that has them takes them back. The entry of a list map must stay, with its
key, when only a value in it is left out: without it the whole entry would go, since the key is ours.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from llm_gateway_operator.api.common import GROUP
from llm_gateway_operator.kube.kinds import Json
from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.defaults import Path, path_text

MANAGER = "llm-gateway-operator"
HANDOVER = f"{MANAGER}-replicas-handover"
"""Field managers of this program; all others are other people's."""

RECLAIM = f"{GROUP}/reclaim"
"""Annotation of a child: paths, like `spec.replicas`, that go back to the operator although another set them."""

REPLICAS: Path = ("f:spec", "f:replicas")

_SEPARATORS = re.compile(r"[,\s]+")


def yielded(child: Child, live: Json) -> tuple[Json, tuple[Path, ...]]:
    """What is to be applied, and the defaults that were left out of it because another has set them in `live`."""
    others = [
        entry["fieldsV1"]
        for entry in _managed(live)
        if entry.get("manager") not in (MANAGER, HANDOVER) and "fieldsV1" in entry
    ]
    reclaimed = _reclaimed(live)
    dropped = tuple(
        path
        for path in child.defaults
        if any(_has(fields, path) for fields in others) and path_text(path) not in reclaimed
    )
    obj = child.object
    for path in dropped:
        obj = _without(obj, path)
    return obj, dropped


def owned_by_us_alone(live: Json, path: Path) -> bool:
    """Whether the value at `path` would fall back to the API's own default if we applied without it."""
    managers = {entry.get("manager") for entry in _managed(live) if _has(entry.get("fieldsV1") or {}, path)}
    return managers == {MANAGER}


def _managed(live: Json) -> Iterable[Json]:
    return live["metadata"].get("managedFields") or ()


def _reclaimed(live: Json) -> frozenset[str]:
    text = (live["metadata"].get("annotations") or {}).get(RECLAIM, "")
    return frozenset(_SEPARATORS.split(text))


def _has(fields: Mapping[str, Any], path: Path) -> bool:
    at: Any = fields
    for step in path:
        at = at.get(step) if isinstance(at, Mapping) else None
        if at is None:
            return False
    return True


def _without(value: Any, path: Path) -> Any:
    """A copy of `value` without the leaf at `path`; maps and entries around it stay, if empty."""
    step, rest = path[0], path[1:]
    if step.startswith("k:"):
        keys = json.loads(step[2:])
        return [_without(entry, rest) if _matches(entry, keys) else entry for entry in value]
    name = step.removeprefix("f:")
    if not rest:
        return {field: entry for field, entry in value.items() if field != name}
    return {**value, name: _without(value[name], rest)}


def _matches(entry: Any, keys: Mapping[str, Any]) -> bool:
    return isinstance(entry, Mapping) and all(entry.get(name) == value for name, value in keys.items())
