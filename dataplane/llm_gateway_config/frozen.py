"""A map that does not change.

Rule: a frozen pydantic model is only as frozen as what it holds, so every map of the contract is a
`FrozenMap`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

V = TypeVar("V", covariant=True)


class FrozenMap(Mapping[str, V]):
    """An immutable map from text to `V`, in the order it was made."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, V] | None = None) -> None:
        self._entries: dict[str, V] = dict(entries or {})

    def __getitem__(self, key: str) -> V:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        return hash(frozenset(self._entries.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._entries!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return frozen_map_schema(handler.generate_schema(str), handler.generate_schema(*get_args(source)))


def frozen_map_schema(key: CoreSchema, value: CoreSchema) -> CoreSchema:
    """The pydantic schema of such a map: a dict or a `FrozenMap` in, a `FrozenMap` out."""
    entries = core_schema.dict_schema(key, value)
    return core_schema.no_info_before_validator_function(
        _thaw,
        core_schema.no_info_after_validator_function(FrozenMap, entries),
        serialization=core_schema.wrap_serializer_function_ser_schema(
            lambda frozen, write: write(_thaw(frozen)), schema=entries
        ),
    )


def _thaw(value: Any) -> Any:
    return dict(value) if isinstance(value, FrozenMap) else value


class Keys:
    """A pydantic annotation that gives a `FrozenMap[V]` a type for its keys: `Annotated[FrozenMap[V],
    Keys(Name)]`.
    """

    def __init__(self, key: Any) -> None:
        self._key = key

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return frozen_map_schema(
            handler.generate_schema(self._key), handler.generate_schema(*get_args(source))
        )
