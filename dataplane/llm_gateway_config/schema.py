"""JSON Schema of gateway.yaml for editors.

Rule: made from the models, of what a person writes: units as text, a model as a name or a map, and
`${VARIABLE}` wherever a value stands.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from llm_gateway_config import shape
from llm_gateway_config.document import GatewayConfig

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_VARIABLE = "Variable"
# What a schema may say about a value itself; the rest (description, default) belongs to the field.
_ABOUT_THE_VALUE = frozenset(
    {"type", "pattern", "enum", "const", "minimum", "maximum", "minLength", "maxLength"}
)
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def json_schema() -> dict[str, Any]:
    """The schema, JSON Schema 2020-12. Unknown fields are errors in it, as under --validate."""
    made = GatewayConfig.model_json_schema(schema_generator=_Generator)
    defaults = {model.__name__: _defaults(model) for model in shape.models(GatewayConfig)}
    definitions = {
        name: _definition(definition, defaults.get(name, {}))
        for name, definition in made.pop("$defs").items()
    }
    definitions[_VARIABLE] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
    whole = _definition(made, defaults[GatewayConfig.__name__])
    return {"$schema": DIALECT, "title": "gateway.yaml of llm-gateway", **whole, "$defs": definitions}


class _Generator(GenerateJsonSchema):
    """Leaves defaults to `_definition`: pydantic would write 30.0 where a document says 30s."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Scalar defaults of a model's fields as a document writes them."""
    optional = {name for name, field in model.model_fields.items() if not field.is_required()}
    written = model.model_construct().model_dump(mode="json", include=optional, exclude_none=True)
    return {name: value for name, value in written.items() if not isinstance(value, dict | list)}


def _definition(definition: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    if "enum" in definition:
        return {"description": definition["description"], **_or_variable({}, _about_the_value(definition))}
    made: dict[str, Any] = _as_written(definition)
    for name, default in defaults.items():
        made["properties"][name]["default"] = default
    return made


def _as_written(node: Any) -> Any:
    """The schema with maps closed, titles gone, no null, and `${VARIABLE}` allowed for every value."""
    if isinstance(node, list):
        return [_as_written(item) for item in node if item != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {
        key: _each(value) if key == "properties" else _as_written(value)
        for key, value in node.items()
        if key != "title"
    }
    if len(made.get("anyOf", ())) == 1:
        made |= made.pop("anyOf")[0]
    if "properties" in made or "patternProperties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _each(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _with_variable(_as_written(schema)) for name, schema in properties.items()}


def _with_variable(schema: dict[str, Any]) -> dict[str, Any]:
    about = _about_the_value(schema)
    is_text = about.get("type") == "string" and not about.keys() & {"pattern", "enum", "const"}
    if about.get("type") not in _SCALARS or is_text:
        return schema
    return _or_variable({key: value for key, value in schema.items() if key not in about}, about)


def _about_the_value(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key in _ABOUT_THE_VALUE}


def _or_variable(rest: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    return {**rest, "anyOf": [about, {"$ref": f"#/$defs/{_VARIABLE}"}]}
