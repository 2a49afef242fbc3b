"""Problems as text, and pydantic's errors as sentences."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from llm_gateway_config.document import GatewayConfig
from llm_gateway_config.problems import (
    SENTENCES,
    Path,
    Problem,
    Refused,
    line_of,
    nearest,
    path_text,
    sentences,
)

TEXTS = {
    "everything is known": (Problem("f.yaml", 3, "a.b", "is bad"), "f.yaml:3: a.b: is bad"),
    "no line": (Problem("f.yaml", None, "a", "is bad"), "f.yaml: a: is bad"),
    "no path": (Problem("f.yaml", 3, "", "is bad"), "f.yaml:3: is bad"),
    "nothing but the message": (Problem(None, None, "", "is bad"), "is bad"),
}


@pytest.mark.parametrize(("problem", "text"), TEXTS.values(), ids=TEXTS)
def test_a_problem_as_text(problem: Problem, text: str) -> None:
    assert str(problem) == text


PATHS: dict[str, tuple[Path, str]] = {
    "keys and places": (
        ("spec", "routing", "models", 0, "targets", 1, "weight"),
        "spec.routing.models[0].targets[1].weight",
    ),
    "dashes and dots": (("routing", "models", "gpt-4.1"), "routing.models.gpt-4.1"),
    "a key with a space": (("models", "gpt 4", "x"), 'models["gpt 4"].x'),
    "a key with a slash and a quote": (('a/"b',), '["a/\\"b"]'),
    "the whole document": ((), ""),
}


@pytest.mark.parametrize(("path", "text"), PATHS.values(), ids=PATHS)
def test_a_path_as_text(path: Path, text: str) -> None:
    assert path_text(path) == text


def test_the_line_is_that_of_the_nearest_ancestor() -> None:
    lines: dict[Path, int] = {(): 1, ("a",): 4}
    assert line_of(("a", "b", 0), lines) == 4
    assert line_of(("x",), lines) == 1
    assert line_of(("x",), {}) is None


NEAREST = {
    "a slip": ("opnai", ["openai", "mock"], "openai"),
    "another case": ("apiKey", ["api_key", "base_url"], "api_key"),
    "nothing like it": ("zzz", ["openai", "mock"], None),
}


@pytest.mark.parametrize(("word", "choices", "found"), NEAREST.values(), ids=NEAREST)
def test_the_nearest_word(word: str, choices: list[str], found: str | None) -> None:
    assert nearest(word, choices) == found


def test_a_refusal_tells_everything_once_and_by_line() -> None:
    first, second = Problem("f", 2, "a", "x"), Problem("f", 10, "b", "y")
    refused = Refused([second, first, second])
    assert refused.problems == (first, second)
    assert str(refused) == "f:2: a: x\nf:10: b: y"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    up_stream: str = Field(default="", alias="upStream")


class Example(BaseModel):
    colour: Colour | None = None
    version: Literal["1.2", "1.3"] | None = None
    count: int | None = Field(default=None, ge=0, lt=10)
    share: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    name: str | None = Field(default=None, min_length=1, max_length=3)
    code: str | None = Field(default=None, pattern="^a+$")
    on: bool | None = None
    inner: Inner | None = None
    items: list[Annotated[str, Field(min_length=2)]] | None = Field(default=None, min_length=1, max_length=2)
    table: dict[str, int] | None = None


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "an enum": ({"colour": "rad"}, 'colour: must be one of: red, blue; is "rad" (did you mean red?)'),
    "an enum far off": ({"colour": 5}, "colour: must be one of: red, blue; is 5"),
    "a literal": ({"version": 1.2}, "version: must be one of: 1.2, 1.3; is 1.2"),
    "too small": ({"count": -3}, "count: must be 0 or more, is -3"),
    "too large": ({"count": 10}, "count: must be less than 10, is 10"),
    "no number": ({"count": "many"}, 'count: must be a whole number, is "many"'),
    "half a number": ({"count": 1.5}, "count: must be a whole number, is 1.5"),
    "a share of nothing": ({"share": 0}, "share: must be more than 0.0, is 0"),
    "a share of more": ({"share": 2}, "share: must be 1.0 or less, is 2"),
    "a share of text": ({"share": "x"}, 'share: must be a number, is "x"'),
    "an infinite share": ({"share": float("inf")}, "share: must be a finite number, is inf"),
    "text without quotes": ({"name": 12}, "name: must be text, is 12: quote it"),
    "empty text": ({"name": ""}, "name: must not be empty"),
    "long text": ({"name": "abcd"}, "name: must be at most 3 characters long, is 4"),
    "short text": ({"items": ["a"]}, 'items[0]: must be at least 2 characters long, is "a"'),
    "a pattern": ({"code": "b"}, 'code: must match ^a+$, is "b"'),
    "no yes or no": ({"on": "maybe"}, 'on: must be true or false, is "maybe"'),
    "a list for a map": ({"inner": []}, "inner: must be a map, is a list"),
    "text for a table": ({"table": "x"}, 'table: must be a map, is "x"'),
    "a map for a list": ({"items": {}}, "items: must be a list, is a map"),
    "an empty list": ({"items": []}, "items: must hold at least 1, holds 0"),
    "a long list": ({"items": ["aa", "bb", "cc"]}, "items: must hold at most 2"),
    "nothing in a table": ({"table": {"a": None}}, "table.a: must be a whole number, is empty"),
    "an unknown field": ({"color": "red"}, "color: unknown field (did you mean colour?)"),
    "an unknown field beside an alias": (
        {"inner": {"upstream": ""}},
        "inner.upstream: unknown field (did you mean upStream?)",
    ),
    "a long value": ({"colour": "x" * 99}, f'colour: must be one of: red, blue; is "{"x" * 60}..."'),
}


def said(data: object, **options: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Example.model_validate(data, extra="forbid")
    return [str(problem) for problem in sentences(caught.value, {}, None, model=Example, **options)]


@pytest.mark.parametrize(("data", "sentence"), SAID.values(), ids=SAID)
def test_an_error_as_a_sentence(data: dict[str, Any], sentence: str) -> None:
    assert said(data) == [sentence]


HIDDEN = {
    "an enum": ({"colour": "red1"}, "colour: must be one of: red, blue; is the value of ${X}"),
    "a number": ({"count": "sk-1"}, "count: must be a whole number, is the value of ${X}"),
    "text": ({"name": 12}, "name: must be text, is the value of ${X}"),
    "a pattern": ({"code": "sk-1"}, "code: must match ^a+$, is the value of ${X}"),
}


@pytest.mark.parametrize(("data", "sentence"), HIDDEN.values(), ids=HIDDEN)
def test_a_value_from_elsewhere_is_named_and_not_shown(data: dict[str, Any], sentence: str) -> None:
    assert said(data, origin=lambda path: "the value of ${X}") == [sentence]


def test_a_path_has_its_place_in_the_document() -> None:
    with pytest.raises(ValidationError) as caught:
        Example.model_validate({"table": {"a": "x"}})
    lines: dict[Path, int] = {("spec",): 2, ("spec", "table"): 5}
    (problem,) = sentences(caught.value, lines, "f.yaml", ("spec",))
    assert str(problem) == 'f.yaml:5: spec.table.a: must be a whole number, is "x"'


def test_an_error_type_without_a_row_still_becomes_a_sentence() -> None:
    class Odd(BaseModel):
        at: complex

    with pytest.raises(ValidationError) as caught:
        Odd.model_validate({"at": "x"})
    assert [str(problem) for problem in sentences(caught.value, {}, None)] == ['at: is not accepted, is "x"']


# Error types of pydantic-core by the kind of schema that raises them; None for kinds that only wrap another.
RAISED_BY: dict[str, tuple[str, ...]] = {
    "str": ("string_type", "string_too_short", "string_too_long", "string_pattern_mismatch"),
    "int": (
        "int_type",
        "int_parsing",
        "int_parsing_size",
        "int_from_float",
        "greater_than_equal",
        "less_than_equal",
    ),
    "bool": ("bool_type", "bool_parsing"),
    "enum": ("enum",),
    "literal": ("literal_error",),
    "tuple": ("tuple_type", "too_short", "too_long"),
    "dict": ("dict_type",),
    "model": ("model_type",),
    "model-fields": ("missing", "extra_forbidden", "model_attributes_type"),
    "function-plain": ("expected", "rule"),
    "function-before": ("expected", "rule"),
    "function-after": ("expected", "rule"),
    "any": (),
    "nullable": (),
    "default": (),
    "model-field": (),
    "definitions": (),
    "definition-ref": (),
}
NOT_VALIDATED = {"function", "serialization", "metadata", "json_schema_input_schema", "default"}


def schema_kinds(schema: object) -> Iterator[str]:
    """The kinds of all schemas inside a core schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema["type"]
        for key, value in schema.items():
            if key not in NOT_VALIDATED:
                yield from schema_kinds(value)
    elif isinstance(schema, list | tuple):
        for item in schema:
            yield from schema_kinds(item)


def test_every_error_that_the_document_can_raise_has_a_row() -> None:
    kinds = set(schema_kinds(GatewayConfig.__pydantic_core_schema__))
    assert {"str", "model-fields", "tuple", "dict", "enum"} <= kinds
    unknown = kinds - set(RAISED_BY)
    assert not unknown, f"say which errors these kinds of schema raise: {unknown}"
    assert {name for kind in kinds for name in RAISED_BY[kind]} <= set(SENTENCES)
