"""From a pydantic model to a structural schema, as a CustomResourceDefinition takes it.

pydantic's JSON schema is rewritten, not patched up: a keyword that is not known to be right in a CRD is an error
here, so that a new construct in a model is looked at before it ships.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from llm_gateway_config import shape
from llm_gateway_operator.api.cel import PARTS
from llm_gateway_operator.api.common import Part
from llm_gateway_operator.api.scalars import RULES

Schema = dict[str, Any]

_KEPT = frozenset(
    {
        "description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
        "minimum", "pattern", "required", "type",
    }
)  # fmt: skip
# `default`: api.md, rule 2. `additionalProperties: false`: the API server drops or refuses unknown fields by itself.
_DROPPED = frozenset({"title", "default"})
_INT32 = 2**31 - 1


class Unsuitable(TypeError):
    """A model holds something that a CRD cannot say."""


def schema_of(model: type[Part]) -> Schema:
    """The schema of one part and all below it. Raises Unsuitable."""
    parts = {part.__name__: part for part in shape.models(model) if issubclass(part, Part)}
    raw = model.model_json_schema(schema_generator=_Raw)
    return _Rewriter(parts, raw.get("$defs", {})).part(model, raw)


class _Raw(GenerateJsonSchema):
    # Defaults are dropped anyway.
    ignored_warning_kinds = {"non-serializable-default"}  # noqa: RUF012


class _Rewriter:
    def __init__(self, parts: Mapping[str, type[Part]], definitions: Mapping[str, Schema]) -> None:
        self._parts = parts
        self._definitions = definitions

    def part(self, model: type[Part], raw: Schema) -> Schema:
        """A model's own schema: its fields with their descriptions, its rules, how it is merged."""
        told = descriptions(model)
        properties: Schema = {}
        for name, field in model.model_fields.items():
            alias = field.alias or name
            if name not in told:
                raise Unsuitable(f"{model.__name__}.{name} has no description below it")
            properties[alias] = {"description": told[name], **self._any(raw["properties"][alias])}
        schema: Schema = {"type": "object"}
        if raw.get("required"):
            schema["required"] = list(raw["required"])
        schema["properties"] = properties
        if model.atomic:
            schema["x-kubernetes-map-type"] = "atomic"
        if model in PARTS:
            schema[RULES] = [dict(rule) for rule in PARTS[model]]
        return schema

    def _any(self, raw: Schema) -> Schema:
        if "$ref" in raw:
            return self._reference(raw["$ref"])
        if "anyOf" in raw:
            # An absent field and a null are one thing to the API server, which drops nulls.
            options = [option for option in raw["anyOf"] if option != {"type": "null"}]
            if len(options) != 1:
                raise Unsuitable(f"anyOf of several types: {raw}")
            return self._any(options[0])
        match raw.get("type"):
            case "array":
                return self._list(raw)
            case "object":
                return self._map(raw)
            case "integer":
                return self._integer(raw)
        return self._plain(raw, ())

    def _reference(self, reference: str) -> Schema:
        name = reference.rpartition("/")[2]
        raw = self._definitions[name]
        if name in self._parts:
            return self.part(self._parts[name], raw)
        return self._plain({key: value for key, value in raw.items() if key != "description"}, ())

    def _list(self, raw: Schema) -> Schema:
        schema = self._plain(raw, ("items",))
        if "items" not in raw or "maxItems" not in raw:
            raise Unsuitable(f"a list without a bound: {raw}")
        item = self._parts.get(raw["items"].get("$ref", "").rpartition("/")[2])
        keys = [] if item is None else [item.model_fields[key].alias or key for key in item.map_keys]
        if "x-kubernetes-list-type" not in raw:
            schema["x-kubernetes-list-type"] = "map" if keys else "atomic"
        if keys:
            schema["x-kubernetes-list-map-keys"] = keys
        schema["items"] = self._any(raw["items"])
        return schema

    def _map(self, raw: Schema) -> Schema:
        """A map of text, or a piece of another kind's object."""
        schema = self._plain(raw, ("properties", "additionalProperties"))
        if "properties" in raw:
            schema["properties"] = {name: self._any(entry) for name, entry in raw["properties"].items()}
        if "additionalProperties" in raw:
            if "maxProperties" not in raw:
                raise Unsuitable(f"a map without a bound: {raw}")
            schema["additionalProperties"] = self._any(raw["additionalProperties"])
        return schema

    def _integer(self, raw: Schema) -> Schema:
        small = "format" not in raw and raw.get("maximum", _INT32 + 1) <= _INT32
        return {**self._plain(raw, ()), **({"format": "int32"} if small else {})}

    def _plain(self, raw: Schema, beside: tuple[str, ...]) -> Schema:
        known = _KEPT | _DROPPED | set(beside)
        unknown = [key for key in raw if key not in known and not key.startswith("x-kubernetes-")]
        if unknown or "type" not in raw:
            raise Unsuitable(f"{', '.join(unknown) or 'no type'}: {raw}")
        if raw["type"] == "string" and not raw.keys() & {"maxLength", "enum", "format"}:
            raise Unsuitable(f"text without a bound: {raw}")
        # A rule says what a pattern only refuses, so where both are known the rule stands alone.
        dropped = _DROPPED | set(beside) | ({"pattern"} if RULES in raw else set())
        return {key: value for key, value in raw.items() if key not in dropped}


def descriptions(model: type[Part]) -> Mapping[str, str]:
    """The text below each field of a model, by the field's name, as one line."""
    module = sys.modules[model.__module__]
    return _documented(module).get(model.__qualname__, {})


@cache
def _documented(module: ModuleType) -> Mapping[str, Mapping[str, str]]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: dict(_fields(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str() as text)),
            ):
                yield name, " ".join(text.split())


Walk = Callable[[Schema, tuple[str, ...]], None]


def walk(schema: Schema, visit: Walk, path: tuple[str, ...] = ()) -> None:
    """Calls `visit` with every schema inside `schema`, itself included, and its path."""
    visit(schema, path)
    for name, below in schema.get("properties", {}).items():
        walk(below, visit, (*path, name))
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            walk(schema[name], visit, (*path, "[]"))
