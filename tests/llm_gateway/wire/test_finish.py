"""Finish reasons that OpenAI's clients do not know: which bytes are edited, and that no others are."""

import json

import pytest

from llm_gateway.wire.finish import relabel, unknown

REASONS: dict[str, tuple[object, str | None]] = {
    "stop": ("stop", None),
    "length": ("length", None),
    "a tool call": ("tool_calls", None),
    "the filter": ("content_filter", None),
    "an old function call": ("function_call", None),
    "none": (None, None),
    "an empty text": ("", None),
    "what is no text": ({"type": "stop"}, None),
    "a number": (7, None),
    "a word of the server's own": ("abort", "abort"),
    "another case": ("STOP", "STOP"),
}


@pytest.mark.parametrize("sentence", REASONS)
def test_which_are_unknown(sentence: str) -> None:
    reason, expected = REASONS[sentence]
    assert unknown(reason) == expected


# Data, how many of its choices have an unknown reason, the data edited.
EDITS: dict[str, tuple[bytes, int, bytes]] = {
    "an answer": (
        b'{"choices":[{"finish_reason":"abort","index":0}]}',
        1,
        b'{"choices":[{"finish_reason":"length","native_finish_reason":"abort","index":0}]}',
    ),
    "white space stays": (
        b'{ "choices" : [ {"index": 0,\n"finish_reason" :\t"abort" } ] }\n',
        1,
        b'{ "choices" : [ {"index": 0,\n"finish_reason" :\t"length","native_finish_reason":"abort" } ] }\n',
    ),
    "an event": (
        b'id: 3\r\ndata: {"choices":[{"delta":{},"finish_reason":"abort"}]}\r\n\r\n',
        1,
        b'id: 3\r\ndata: {"choices":[{"delta":{},"finish_reason":"length","native_finish_reason":"abort"}]}\r\n\r\n',
    ),
    "an event over two lines": (
        b'data: {"choices":[{"delta":{},\ndata: "finish_reason":"abort"}]}\n\n',
        1,
        b'data: {"choices":[{"delta":{},\ndata: "finish_reason":"length","native_finish_reason":"abort"}]}\n\n',
    ),
    "two of three choices": (
        b'{"choices":[{"finish_reason":"a"},{"finish_reason":"stop"},{"finish_reason":"b"}]}',
        2,
        b'{"choices":[{"finish_reason":"length","native_finish_reason":"a"},{"finish_reason":"stop"},'
        b'{"finish_reason":"length","native_finish_reason":"b"}]}',
    ),
    "escapes and other scripts stay as they were written": (
        b'{"choices":[{"finish_reason":"a\\"\\u0062 \xc3\xa4"}]}',
        1,
        b'{"choices":[{"finish_reason":"length","native_finish_reason":"a\\"\\u0062 \xc3\xa4"}]}',
    ),
    "the words in a text are no member": (
        b'{"choices":[{"message":{"content":"\\"finish_reason\\":\\"x\\", \\\\"},"finish_reason":"abort"}]}',
        1,
        b'{"choices":[{"message":{"content":"\\"finish_reason\\":\\"x\\", \\\\"},"finish_reason":"length",'
        b'"native_finish_reason":"abort"}]}',
    ),
    "members of the same name elsewhere stay": (
        b'{"finish_reason":"x","more":[{"finish_reason":"y"}],"choices":[{"finish_reason":"abort",'
        b'"message":{"finish_reason":"z"}}],"choice":[{"finish_reason":"w"}]}',
        1,
        b'{"finish_reason":"x","more":[{"finish_reason":"y"}],"choices":[{"finish_reason":"length",'
        b'"native_finish_reason":"abort","message":{"finish_reason":"z"}}],"choice":[{"finish_reason":"w"}]}',
    ),
    "the server's own native reason is not given twice": (
        b'{"choices":[{"finish_reason":"error","native_finish_reason":"MALFORMED"}]}',
        1,
        b'{"choices":[{"finish_reason":"length","native_finish_reason":"MALFORMED"}]}',
    ),
    "a native reason elsewhere is another": (
        b'{"choices":[{"finish_reason":"error","message":{"native_finish_reason":1}}]}',
        1,
        b'{"choices":[{"finish_reason":"length","native_finish_reason":"error","message":{"native_finish_reason":1}}]}',
    ),
    "what JSON does not know stays": (
        b'{"choices":[{"logprobs":NaN,"finish_reason":"abort","text":"\\ud83d \xf0\x9f"}]}',
        1,
        b'{"choices":[{"logprobs":NaN,"finish_reason":"length","native_finish_reason":"abort",'
        b'"text":"\\ud83d \xf0\x9f"}]}',
    ),
    "a reason that is found nowhere": (
        b'{"choices":[{"finish\\u005freason":"abort"}]}',
        1,
        b'{"choices":[{"finish\\u005freason":"abort"}]}',
    ),
}


@pytest.mark.parametrize("sentence", EDITS)
def test_edits(sentence: str) -> None:
    data, unknown_reasons, expected = EDITS[sentence]
    assert relabel(data, unknown_reasons) == expected


def test_long_strings_full_of_escapes_are_walked_through() -> None:
    text = json.dumps('"\\' * 500_000)
    data = f'{{"finish_reason":"x","choices":[{{"m":{text},"finish_reason":"y"}}]}}'.encode()
    assert relabel(data, 1) == data.replace(b'"y"', b'"length","native_finish_reason":"y"')
