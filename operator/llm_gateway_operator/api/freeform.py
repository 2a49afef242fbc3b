"""Pieces of other kinds' objects that a custom resource carries verbatim: kept as they are, and frozen.

Nothing here looks inside: what such a piece may hold is the business of the API that it is sent to.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.problems import expected


class _FreeForm:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _frozen_object, serialization=core_schema.plain_serializer_function_ser_schema(thaw)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _frozen_object(value: object) -> Any:
    if not isinstance(value, Mapping):
        raise expected("a map")
    return freeze(value)


def freeze(value: Any) -> Any:
    """Maps as `FrozenMap`, lists as tuples, all the way down."""
    match value:
        case Mapping():
            return FrozenMap({str(name): freeze(entry) for name, entry in value.items()})
        case list() | tuple():
            return tuple(freeze(entry) for entry in value)
    return value


def thaw(value: Any) -> Any:
    """The same as plain dicts and lists: what `freeze` was given."""
    match value:
        case Mapping():
            return {name: thaw(entry) for name, entry in value.items()}
        case tuple() | list():
            return [thaw(entry) for entry in value]
    return value


FreeForm = Annotated[FrozenMap[Any], _FreeForm()]
"""A map of anything. `model_dump` gives plain dicts and lists back."""
