"""A partial object laid over a rendered one, as a strategic merge patch would: maps by field, list maps by key.

What the overlay says is the user's word, so a `Default` under it is one no more. `null` takes a field away.
"""

from collections.abc import Mapping
from typing import Any

from llm_gateway_operator.render.lists import keys_of, same_entry

# Of these a probe or a hook has one: whoever names another means it instead of ours.
_HANDLERS = frozenset({"exec", "grpc", "httpGet", "sleep", "tcpSocket"})
# Lists whose entries are one of many kinds: an entry is replaced, or it would be of two kinds at once.
_REPLACED = frozenset({"volumes"})


def overlay(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `patch` over it. Fields and entries of the base keep their place; new ones come after them."""
    dropped = _HANDLERS if _HANDLERS & patch.keys() else frozenset[str]()
    merged = {name: value for name, value in base.items() if name not in dropped or name in patch}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _laid(merged.get(name), value, name)
    return merged


def _laid(base: Any, patch: Any, field: str) -> Any:
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return overlay(base, patch)
    if isinstance(base, list) and isinstance(patch, list) and keys_of(field):
        return _laid_by_key(base, patch, field)
    return _without_nulls(patch)


def _laid_by_key(base: list[Any], patch: list[Any], field: str) -> list[Any]:
    merged = list(base)
    for entry in patch:
        place = next((index for index, ours in enumerate(merged) if same_entry(field, ours, entry)), None)
        if place is None:
            merged.append(_without_nulls(entry))
        elif field in _REPLACED:
            merged[place] = _without_nulls(entry)
        else:
            merged[place] = overlay(merged[place], entry)
    return merged


def _without_nulls(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _without_nulls(entry) for name, entry in value.items() if entry is not None}
        case list():
            return [_without_nulls(entry) for entry in value]
    return value
