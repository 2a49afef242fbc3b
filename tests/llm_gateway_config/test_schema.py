"""The JSON Schema says of documents what the loader says."""

import json
import re
from typing import Any

import pytest

from llm_gateway_config import json_schema
from llm_gateway_testing.documents import sound

SCHEMA = json_schema()
KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
UNDERSTOOD = {
    *("$schema", "$defs", "$ref", "title", "description", "default", "type", "enum", "anyOf"),
    *("properties", "patternProperties", "additionalProperties", "required", "items", "minItems"),
    *("pattern", "minimum", "maximum", "minLength", "maxLength"),
}


def valid(schema: Any, value: Any) -> bool:
    """Whether `value` fits; only what the schema uses is understood, anything else fails."""
    if isinstance(schema, bool):
        return schema
    assert set(schema) <= UNDERSTOOD, set(schema) - UNDERSTOOD
    if "$ref" in schema and not valid(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value):
        return False
    if "anyOf" in schema and not any(valid(option, value) for option in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kind = schema.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if isinstance(value, str):
        return bool(re.search(schema.get("pattern", ""), value)) and len(value) >= schema.get("minLength", 0)
    if isinstance(value, int):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            valid(schema.get("items", True), item) for item in value
        )
    return not isinstance(value, dict) or valid_map(schema, value)


def valid_map(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    if not set(schema.get("required", ())) <= set(value):
        return False
    for key, item in value.items():
        parts = [
            part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, key)
        ]
        parts += [schema["properties"][key]] if key in schema.get("properties", {}) else []
        if not all(valid(part, item) for part in parts or [schema.get("additionalProperties", True)]):
            return False
    return True


GOOD = {
    "nothing": "{}",
    "the usual": """\
server: {host: 127.0.0.1, port: 8080, max_request_body_size: 10MB, tls: {cert_path: a, key_path: b, min_version: "1.3"}}
providers:
  openai:
    type: openai
    api_key: ${OPENAI_API_KEY}
    models: [gpt-4o-mini, {name: gpt-4o, price: {input: "2.50", output: "10.00"}}]
    timeouts: {connect: 5s, total: 10m}
    headers: {x-team: {file: keys/team}}
  mock: {type: mock, models: [echo], mock: {fault: {kind: cut, rate_percent: 5}}}
routing: {models: {chat: {targets: [{provider: openai, model: gpt-4o, weight: 80}]}}}
telemetry: {log: {level: info}}
""",
    "variables for every kind of value": """\
server: {port: "${PORT:-8080}", header_timeout: "${T}", max_header_size: "${S:-1KB}"}
providers: {a: {type: "${TYPE}", base_url: "${URL}/v1", stream_usage: "${USAGE}", api_key: {file: "${F}"}}}
telemetry: {log: {level: "${LOG_LEVEL:-info}"}}
""",
}
BAD = {
    "an unknown field": "provders: {}",
    "an unknown field below": "server: {prt: 1}",
    "a negative port": "server: {port: -1}",
    "a bare duration": "server: {header_timeout: 30}",
    "a duration in words": "server: {header_timeout: fast}",
    "no type": "providers: {a: {models: [m]}}",
    "an unknown type": "providers: {a: {type: opnai}}",
    "an id in capitals": "providers: {A: {type: mock}}",
    "an unquoted price": "providers: {a: {type: mock, models: [{name: m, price: {input: 1, output: 2}}]}}",
    "a star in a name": "providers: {a: {type: mock, models: ['a*']}}",
    "another map for a key": "providers: {a: {type: mock, api_key: {value: x}}}",
    "no targets": "routing: {models: {chat: {targets: []}}}",
    "half a target": "routing: {models: {chat: {targets: [{provider: a}]}}}",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_schema_takes(text: str) -> None:
    assert valid(SCHEMA, sound(text, source="f").data)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_the_schema_refuses(text: str) -> None:
    assert not valid(SCHEMA, sound(text, source="f").data)


def test_the_schema_is_json_with_defaults_as_people_write_them() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    definitions = SCHEMA["$defs"]
    assert definitions["Timeouts"]["properties"]["total"]["default"] == "10m"
    assert definitions["Server"]["properties"]["max_header_size"]["default"] == "32KB"
    assert definitions["TargetRef"]["properties"]["priority"]["default"] == 0
    assert "null" not in json.dumps(SCHEMA)


def maps(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in maps(item)]
    if not isinstance(schema, dict):
        return []
    here = [schema] if "properties" in schema else []
    return here + [found for item in schema.values() for found in maps(item)]


def test_every_map_is_closed_and_every_field_described() -> None:
    found = maps(SCHEMA)
    assert len(found) > 15
    for schema in found:
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert all("description" in field for field in schema["properties"].values())
