"""A frozen configuration holds nothing that can change."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from llm_gateway_config import FrozenMap, GatewayConfig
from llm_gateway_config.part import Part

DOCUMENT: dict[str, Any] = {
    "requires": [],
    "providers": {
        "openai": {"type": "openai", "api_key": "sk-1", "models": ["a", "b"], "headers": {"x-team": "red"}},
        "mock": {"type": "mock", "models": [{"name": "echo", "mock": {"fault": {"kind": "cut"}}}]},
    },
    "routing": {"models": {"chat": {"targets": [{"provider": "mock", "model": "echo"}]}}},
    "server": {"cors": {"allow_origins": ["*"]}},
}


def mutable_parts(value: object, path: str = "config") -> list[str]:
    """Paths of everything inside `value` that is not known to be immutable."""
    if isinstance(value, Part):
        fields = {f"{path}.{name}": getattr(value, name) for name in type(value).model_fields}
    elif isinstance(value, FrozenMap):
        fields = {f"{path}[{key}]": item for key, item in value.items()}
    elif isinstance(value, tuple):
        fields = {f"{path}[{index}]": item for index, item in enumerate(value)}
    else:
        hash(value)
        return [path] if isinstance(value, dict | list | set | bytearray) else []
    return [found for name, item in fields.items() for found in mutable_parts(item, name)]


def test_a_configuration_holds_no_dict_and_no_list() -> None:
    config = GatewayConfig.model_validate(DOCUMENT)
    assert mutable_parts(config) == []
    assert hash(config) == hash(GatewayConfig.model_validate(DOCUMENT))


def test_a_field_does_not_change() -> None:
    config = GatewayConfig.model_validate(DOCUMENT)
    with pytest.raises(ValidationError):
        config.server.port = 1


def test_a_frozen_map_is_a_map_without_a_way_to_change_it() -> None:
    source = {"b": 1, "a": 2}
    frozen = FrozenMap(source)
    source["c"] = 3
    assert list(frozen.items()) == [("b", 1), ("a", 2)]
    assert frozen == {"b": 1, "a": 2}
    assert hash(frozen) == hash(FrozenMap({"a": 2, "b": 1}))
    assert not hasattr(frozen, "__setitem__")
    assert not hasattr(frozen, "update")


def test_a_configuration_is_copied_and_validated_again() -> None:
    config = GatewayConfig.model_validate(DOCUMENT)
    assert copy.deepcopy(config) == config
    assert GatewayConfig.model_validate(dict(config)) == config
    assert (
        "other"
        in config.model_copy(update={"providers": FrozenMap({"other": config.providers["mock"]})}).providers
    )
