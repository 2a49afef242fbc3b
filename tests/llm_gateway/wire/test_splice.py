import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.wire.chat import parse_request
from llm_gateway.wire.splice import edit


def edited(body: bytes, model: str | None, include_usage: bool = False) -> bytes:
    return edit(body, parse_request(body), model=model, include_usage=include_usage)


EDITS: dict[str, tuple[bytes, str | None, bool, bytes]] = {
    "the model first": (b'{"model":"a","x":1}', "b", False, b'{"model":"b","x":1}'),
    "the model last, as the official client writes it": (
        b'{"messages":[{"role":"user"}],"model":"a"}',
        "b",
        False,
        b'{"messages":[{"role":"user"}],"model":"b"}',
    ),
    "blanks stay": (b' {\n "model" :\t"a" ,"x": 1.50 }\n', "b", False, b' {\n "model" :\t"b" ,"x": 1.50 }\n'),
    "a model with escapes": (b'{"model":"a\\"}\\u00e9","x":1}', "b", False, b'{"model":"b","x":1}'),
    "a name that must be escaped": (b'{"model":"a"}', 'b"\\\n', False, b'{"model":"b\\"\\\\\\n"}'),
    "usage": (b'{"model":"a"}', None, True, b'{"stream_options":{"include_usage":true},"model":"a"}'),
    "both": (
        b'\n{ "model":"a"}',
        "b",
        True,
        b'\n{"stream_options":{"include_usage":true}, "model":"b"}',
    ),
    "usage into options": (
        b'{"model":"a","stream_options":{"x":[1, 2]},"y":1.0}',
        None,
        True,
        b'{"model":"a","stream_options":{"x":[1, 2],"include_usage":true},"y":1.0}',
    ),
    "usage instead of null": (
        b'{"model":"a","stream_options":null}',
        None,
        True,
        b'{"model":"a","stream_options":{"include_usage":true}}',
    ),
    "usage instead of false": (
        b'{"stream_options":{"include_usage":false},"model":"a"}',
        "b",
        True,
        b'{"stream_options":{"include_usage":true},"model":"b"}',
    ),
    "options in disguise": (
        b'{"model":"a","stream\\u005foptions":{}}',
        None,
        True,
        b'{"model":"a","stream_options":{"include_usage":true}}',
    ),
    "options of something else": (
        b'{"model":"a","x":{"stream_options":{}}}',
        None,
        True,
        b'{"stream_options":{"include_usage":true},"model":"a","x":{"stream_options":{}}}',
    ),
    "a model inside before the model": (
        b'{"x":[{"model":"i"}],"model":"a","y":1}',
        "b",
        False,
        b'{"x":[{"model":"i"}],"model":"b","y":1}',
    ),
    "a model inside after the model": (
        b'{"model":"a","x":[{"model":"i"}]}',
        "b",
        False,
        b'{"model":"b","x":[{"model":"i"}]}',
    ),
    "models inside around the model": (
        b'{"x":{"model":"i"},"model":"a","y":{"model":"j"}}',
        "b",
        False,
        b'{"x":{"model":"i"},"model":"b","y":{"model":"j"}}',
    ),
    "a model in a text": (
        b'{"x":"\\"model\\":\\"i\\"","y\\"model":"k","model":"a"}',
        "b",
        False,
        b'{"x":"\\"model\\":\\"i\\"","y\\"model":"k","model":"b"}',
    ),
    "a key that ends like the model": (
        b'{"y\\"model":"k","model":"a"}',
        "b",
        False,
        b'{"y\\"model":"k","model":"b"}',
    ),
    "model as a value": (b'{"x":"model","model":"a"}', "b", False, b'{"x":"model","model":"b"}'),
    "the model in disguise": (
        b'{"x":{"model":"i"},"\\u006dodel":"a"}',
        "b",
        False,
        b'{"x":{"model":"i"},"model":"b"}',
    ),
    "of other keys given twice the last counts": (
        b'{"x":{"model":"i"},"x":1,"model":"a","z":{"model":""}}',
        "b",
        False,
        b'{"x":1,"model":"b","z":{"model":""}}',
    ),
}


@pytest.mark.parametrize("sentence", EDITS)
def test_edits(sentence: str) -> None:
    body, model, include_usage, expected = EDITS[sentence]
    assert edited(body, model, include_usage) == expected


UNCHANGED: dict[str, tuple[bytes, str | None, bool]] = {
    "nothing asked": (b'{"model":"a"}', None, False),
    "the same model": (b'{"model":"a"}', "a", False),
    "usage is asked for already": (b'{"model":"a","stream_options":{"include_usage":true}}', "a", True),
}


@pytest.mark.parametrize("sentence", UNCHANGED)
def test_what_need_not_change_is_the_same_object(sentence: str) -> None:
    body, model, include_usage = UNCHANGED[sentence]
    assert edited(body, model, include_usage) is body


LOOKALIKES = [
    "model",
    '"model"',
    '"model":"x"',
    "\\",
    '\\"model":',
    "x",
    "stream_options",
    "é",
    "{",
    "}",
    "{}",
]
texts = st.one_of(st.sampled_from(LOOKALIKES), st.text(st.characters(codec="utf-8"), max_size=4))
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
TAKEN = {"model", "stream", "stream_options", "n"}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, dict[str, bytes]]:
    """A body, and the bytes of each of its values. Keys and texts are escaped at random."""
    members = draw(st.dictionaries(texts.filter(lambda key: key not in TAKEN), values, max_size=4))
    members["model"] = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5))
    members |= draw(st.sampled_from([{}, {"stream_options": None}, {"stream_options": {"model": "x"}}]))
    blank = draw(st.sampled_from(["", " ", "\n\t"]))
    written = []
    raw = {}
    for key in draw(st.permutations(sorted(members))):
        value = json.dumps(members[key], ensure_ascii=draw(st.booleans()))
        raw[key] = value.encode()
        written.append(f"{blank}{_write_key(draw, key)}{blank}:{blank}{value}{blank}")
    return f"{blank}{{{','.join(written)}}}{blank}".encode(), raw


def _write_key(draw: st.DrawFn, key: str) -> str:
    if draw(st.integers(0, 3)):
        return json.dumps(key)
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0xD800 else json.dumps(c)[1:-1] for c in key) + '"'


@given(bodies(), st.sampled_from([None, "b", 'c"d', "é"]), st.booleans())
def test_an_edit_changes_what_it_should_and_nothing_else(
    made: tuple[bytes, dict[str, bytes]], model: str | None, include_usage: bool
) -> None:
    body, raw = made
    out = edited(body, model, include_usage)
    expected: dict[str, Any] = json.loads(body)
    if model is not None:
        expected["model"] = model
    if include_usage:
        expected["stream_options"] = (expected.get("stream_options") or {}) | {"include_usage": True}
    assert json.loads(out) == expected
    for key, value in raw.items():
        if key not in ("model", "stream_options"):
            assert re.search(rb"[:\s]" + re.escape(value) + rb"[\s,}]", out)
