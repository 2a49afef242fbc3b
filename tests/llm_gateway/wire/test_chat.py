import json
from typing import Any

import pytest

from llm_gateway.errors import BadRequest
from llm_gateway.wire.chat import (
    BROKEN,
    StreamOptions,
    Usage,
    decode_chunk,
    decode_chunk_leniently,
    decode_completion,
    parse_request,
    usage_of,
)


def test_the_fields_of_a_request() -> None:
    body = b' {"messages": [{"model": 1}], "model": "a/b", "stream": true, "n": 2, "x": "\\"model\\":", '
    fields = parse_request(body + b'"stream_options": {"include_usage": true, "other": 1}}\n')
    assert (fields.model, fields.stream, fields.n) == ("a/b", True, 2)
    assert fields.stream_options == StreamOptions(include_usage=True)
    assert fields.include_usage


USAGE_ASKED = {
    "absent": (b"", False),
    "null": (b',"stream_options":null', False),
    "empty": (b',"stream_options":{}', False),
    "null inside": (b',"stream_options":{"include_usage":null}', False),
    "false": (b',"stream_options":{"include_usage":false}', False),
    "true": (b',"stream_options":{"include_usage":true}', True),
}


@pytest.mark.parametrize("sentence", USAGE_ASKED)
def test_whether_usage_was_asked_for(sentence: str) -> None:
    more, asked = USAGE_ASKED[sentence]
    assert parse_request(b'{"model":"m"' + more + b"}").include_usage is asked


def test_null_means_absent() -> None:
    fields = parse_request(b'{"model":"m","stream":null,"n":null}')
    assert (fields.stream, fields.n) == (None, None)


BAD: dict[str, tuple[bytes, str | None, str]] = {
    "empty": (b"", None, "the body is empty; it must be a JSON object"),
    "blank": (b" \n", None, "the body is empty; it must be a JSON object"),
    "an array": (b"[1]", None, "the body must be an object, is an array"),
    "a text": (b'"x"', None, "the body must be an object, is a string"),
    "null": (b"null", None, "the body must be an object, is null"),
    "no model": (b'{"messages":[]}', "model", "you must provide a model parameter"),
    "a number as model": (b'{"model":1}', "model", "model must be a string"),
    "null as model": (b'{"model":null}', "model", "model must be a string"),
    "an empty model": (b'{"model":""}', "model", "model must have 1 to 256 characters"),
    "a model too long": (
        b'{"model":"' + b"m" * 257 + b'"}',
        "model",
        "model must have 1 to 256 characters",
    ),
    "two models": (b'{"model":"a","model":"b"}', "model", "model is given more than once"),
    "two equal models": (b'{"model":"a","x":1,"model":"a"}', "model", "model is given more than once"),
    "a second model in disguise": (
        b'{"model":"a","\\u006dode\\u006C":"b"}',
        "model",
        "model is given more than once",
    ),
    "a first model in disguise": (
        b'{"m\\u006fdel":"a","model":"b"}',
        "model",
        "model is given more than once",
    ),
    "a second model of the wrong type": (b'{"model":"a","model":2}', "model", "model must be a string"),
    "stream is a text": (b'{"model":"m","stream":"yes"}', "stream", "stream must be a boolean, is a string"),
    "stream is a number": (b'{"model":"m","stream":1}', "stream", "stream must be a boolean, is an integer"),
    "n is a fraction": (b'{"model":"m","n":1.5}', "n", "n must be an integer, is a number with a fraction"),
    "options are a text": (
        b'{"model":"m","stream_options":"x"}',
        "stream_options",
        "stream_options must be an object, is a string",
    ),
    "an option of the wrong type": (
        b'{"model":"m","stream_options":{"include_usage":3}}',
        "stream_options.include_usage",
        "stream_options.include_usage must be a boolean, is an integer",
    ),
    "a comma too many": (
        b'{"model":"m",}',
        None,
        "the body is not valid JSON: trailing comma in object (byte 13)",
    ),
    "more after the end": (
        b'{"model":"m"} x',
        None,
        "the body is not valid JSON: trailing characters (byte 15)",
    ),
    "cut": (b'{"model":"m"', None, "the body is not valid JSON: it ends too early (byte 12)"),
    "half of a pair": (
        b'{"model":"m","x":"\\ud83d"}',
        None,
        "the body is not valid JSON: it ends too early or holds half of a surrogate pair (byte 26)",
    ),
    "no UTF-8": (b'{"model":"\xff"}', None, "the body is not valid JSON: a text that is not UTF-8"),
    "too deep": (
        b'{"model":"m","x":' + b"[" * 100_000,
        None,
        "the body is not valid JSON: nested too deeply",
    ),
    "a BOM": (
        b'\xef\xbb\xbf{"model":"m"}',
        None,
        "the body is not valid JSON: invalid character (byte 0)",
    ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_requests(sentence: str) -> None:
    body, param, message = BAD[sentence]
    with pytest.raises(BadRequest) as caught:
        parse_request(body)
    assert (caught.value.param, caught.value.message) == (param, message)
    assert json.loads(caught.value.body())["error"]["type"] == "invalid_request_error"


def test_a_refused_request_leaves_nothing_for_the_next() -> None:
    for body in (b'{"model":"a","model":2}', b'{"model":"a","model":"b"}'):
        with pytest.raises(BadRequest):
            parse_request(body)
    assert parse_request(b'{"model":"a"}').model == "a"


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "OpenAI's": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        Usage(10, 5, 15, 4, 3),
    ),
    "no details": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(10, 5, 15)),
    "null details": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None},
        Usage(10, 5, 15),
    ),
    "nulls": ({"prompt_tokens": 10, "completion_tokens": None, "total_tokens": None}, Usage(10, 0, 10)),
    "details of nulls": (
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": None}},
        Usage(1, 0, 1),
    ),
    "cached tokens beside the prompt's, not among them": (
        {
            "prompt_tokens": 4,
            "completion_tokens": 5,
            "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 10},
        },
        Usage(14, 5, 19, 10),
    ),
    "cached tokens beside the prompt's, and a total of all": (
        {
            "prompt_tokens": 4,
            "completion_tokens": 5,
            "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 10},
        },
        Usage(14, 5, 19, 10),
    ),
    "cached tokens alone": ({"prompt_tokens_details": {"cached_tokens": 10}}, Usage(10, 0, 10, 10)),
    "the whole prompt was cached": (
        {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 10}},
        Usage(10, 0, 10, 10),
    ),
    "a total alone": ({"total_tokens": 7}, Usage(0, 0, 7)),
    "zeros say nothing": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "nothing": ({}, None),
    "null": (None, None),
    "nonsense": ({"prompt_tokens": "10", "completion_tokens": True, "total_tokens": -3}, None),
    "no object": ([1], None),
}


@pytest.mark.parametrize("sentence", USAGES)
def test_usage(sentence: str) -> None:
    found, expected = USAGES[sentence]
    assert usage_of(found) == expected


LENIENT = {
    "NaN": b'{"choices":[{"index":0,"logprobs":{"p":NaN,"q":-Infinity}}]}',
    "half of a pair": b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
    "half of a pair after a backslash": b'{"choices":[{"delta":{"content":"\\\\\\ud83d \\\\ud83d"}}]}',
    "an index of null": b'{"choices":[{"index":null,"delta":{"content":"x"}}]}',
    "an index and a finish reason of other kinds": b'{"choices":[{"index":"0","finish_reason":{"type":"x"}}]}',
    "broken UTF-8": b'{"choices":[{"delta":{"content":"\xf0\x9f"}}]}',
}


@pytest.mark.parametrize("sentence", LENIENT)
def test_answers_are_read_leniently(sentence: str) -> None:
    chunk = decode_chunk_leniently(LENIENT[sentence])
    assert chunk.choices is not None
    assert len(chunk.choices) == 1


def test_lenient_is_not_careless() -> None:
    for data in (b'{"choices":[{"delta":{"content":"x"}', b'{"choices":tru}', b"NaN"):
        with pytest.raises(BROKEN):
            decode_chunk_leniently(data)
        with pytest.raises(BROKEN):
            decode_chunk(data)
        with pytest.raises(BROKEN):
            decode_completion(data)
