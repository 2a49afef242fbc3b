"""Data as YAML text for every reader."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_config.dump import dump
from llm_gateway_config.yaml12 import ambiguous
from llm_gateway_testing.documents import sound

TEXTS = {
    "plain text stays plain": ("gpt-4o", "key: gpt-4o\n"),
    "a duration": ("30s", "key: 30s\n"),
    "an address": ("http://127.0.0.1:8000/v1", "key: http://127.0.0.1:8000/v1\n"),
    "text that looks like a number": ("2.50", 'key: "2.50"\n'),
    "text that looks like YAML 1.1": ("on", 'key: "on"\n'),
    "a date": ("2026-01-01", 'key: "2026-01-01"\n'),
    "a variable": ("$${X}", 'key: "$${X}"\n'),
    "nothing": ("", 'key: ""\n'),
}


@pytest.mark.parametrize(("value", "text"), TEXTS.values(), ids=TEXTS)
def test_a_text(value: str, text: str) -> None:
    assert dump({"key": value}) == text


def test_order_is_kept_and_nothing_is_an_alias() -> None:
    shared = {"x": 1}
    assert dump({"b": shared, "a": shared, "c": [1, True, None]}) == (
        "b:\n  x: 1\na:\n  x: 1\nc:\n- 1\n- true\n- null\n"
    )


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text()
    | st.from_regex(r"\A[0-9a-fox.:_+-]{1,8}\Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=200), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=200), values, max_size=4))
def test_readers_of_both_versions_read_it_back(data: dict[str, Any]) -> None:
    text = dump(data)
    document = sound(text, source="f.yaml")
    assert (document.data or {}) == data
    assert ambiguous(document) == []
    assert yaml.safe_load(text) == data
