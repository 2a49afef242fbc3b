"""Questions about a model by path."""

import pytest
from pydantic import BaseModel, Field

from llm_gateway_config import GatewayConfig, shape


class Leaf(BaseModel):
    up_stream: str = Field(default="", alias="upStream")


class Tree(BaseModel):
    leaves: list[Leaf] | None = None


PATHS = {
    "the root": (GatewayConfig, (), "providers"),
    "a value of a map": (GatewayConfig, ("providers", "x"), "api_key"),
    "an item of a list": (GatewayConfig, ("providers", "x", "models", 3), "upstream_model"),
    "a nested optional": (GatewayConfig, ("providers", "x", "mock", "fault"), "after_tokens"),
    "a map in a model": (GatewayConfig, ("routing", "models", "x", "targets", 0), "weight"),
    "an alias": (Tree, ("leaves", 0), "upStream"),
}


@pytest.mark.parametrize(("model", "path", "field"), PATHS.values(), ids=PATHS)
def test_the_fields_at_a_path(model: type[BaseModel], path: tuple[str | int, ...], field: str) -> None:
    assert field in shape.field_names(model, path)


@pytest.mark.parametrize(
    "path", [("nowhere",), ("server", "port", "x"), ("providers", "x", "models", 0, "name", 1)]
)
def test_a_path_that_the_model_does_not_describe_has_no_fields(path: tuple[str | int, ...]) -> None:
    assert shape.field_names(GatewayConfig, path) == ()
