"""`${VARIABLE}` in values."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_config.dump import dump
from llm_gateway_config.substitute import escape, malformed, substitute, variables
from llm_gateway_testing.documents import sound

ENV = {"PORT": "8080", "EMPTY": "", "NAME": "value", "YES": "true", "TRICK": "a: ${NAME}"}

VALUES: dict[str, tuple[str, object]] = {
    "a plain scalar is typed afterwards": ("${PORT}", 8080),
    "a quoted one stays text": ('"${PORT}"', "8080"),
    "single quotes are literal": ("'${PORT}'", "${PORT}"),
    "a block is literal": ("|-\n  ${PORT}", "${PORT}"),
    "a default": ("${MISSING:-30s}", "30s"),
    "a default is typed as well": ("${MISSING:-9090}", 9090),
    "a default is for empty variables too": ("${EMPTY:-x}", "x"),
    "an empty default": ('"${MISSING:-}"', ""),
    "a value wins over a default": ("${PORT:-9090}", 8080),
    "an empty variable counts as set": ('"a${EMPTY}b"', "ab"),
    "several in one scalar": ("http://${NAME}:${PORT}/v1", "http://value:8080/v1"),
    "an escape": ("$${PORT}", "${PORT}"),
    "an escape after a dollar": ('"$$${PORT}"', "$${PORT}"),
    "a dollar alone": ("a$b$PORT", "a$b$PORT"),
    "a boolean": ("${YES}", True),
    "no structure and no second look": ("${TRICK}", "a: ${NAME}"),
}


@pytest.mark.parametrize(("text", "value"), VALUES.values(), ids=VALUES)
def test_a_value(text: str, value: object) -> None:
    data, unset = substitute(sound(f"key: {text}\n", source="f"), ENV)
    assert data == {"key": value}
    assert type(data["key"]) is type(value)
    assert unset == {}


def test_a_variable_without_value_is_named_with_its_path() -> None:
    document = sound("a:\n  - ${X}\n  - 'b'\n  - \"${PORT} ${Y} ${Z}\"\n", source="f")
    data, unset = substitute(document, ENV)
    assert data == {"a": [None, "b", None]}
    assert unset == {("a", 0): "X", ("a", 2): "Y"}


def test_keys_are_left_alone() -> None:
    data, _ = substitute(sound('"${PORT}": ${PORT}\n', source="f"), ENV)
    assert data == {"${PORT}": 8080}


def test_some_paths_stay_text() -> None:
    document = sound("key: ${PORT}\nother: ${PORT}\n", source="f")
    data, _ = substitute(document, ENV, as_text=lambda path: path == ("key",))
    assert data == {"key": "8080", "other": 8080}


def test_the_document_itself_does_not_change() -> None:
    document = sound('a: [{b: "${PORT}"}]\n', source="f")
    data, _ = substitute(document, ENV)
    data["a"].append(1)
    assert document.data == {"a": [{"b": "${PORT}"}]}


def test_variables_of_a_scalar() -> None:
    document = sound("a: ${X}-${Y:-1}-$${Z}\nb: '${X}'\nc: {}\n", source="f")
    assert variables(document, ("a",)) == ("X", "Y")
    assert variables(document, ("b",)) == ()
    assert variables(document, ("c",)) == ()
    assert variables(document, ("not", "there")) == ()


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:?x}", "${A:-${B}}", "${A B}", "${A}${"])
def test_what_begins_no_variable_is_a_problem(text: str) -> None:
    (problem,) = malformed(sound(f'a:\n  b: "{text}"\n', source="f"), source="f.yaml")
    assert str(problem) == (
        "f.yaml:2: a.b: ${ begins no variable here: write ${NAME} or ${NAME:-default}, or $${ for a literal ${"
    )


def test_what_is_literal_or_sound_is_no_problem() -> None:
    assert malformed(sound("a: '${}'\nb: ${A:-x}\nc: $${}\nd: $x\n", source="f")) == []


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("${}AB:-x \n\"'")))
def test_an_escaped_value_never_reads_the_environment(value: str) -> None:
    data: Any = sound(dump({"key": escape(value)}), source="f")
    assert substitute(data, {"A": "leak", "B": "leak"}) == ({"key": value}, {})
    assert malformed(data) == []
