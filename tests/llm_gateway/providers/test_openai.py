import json
from typing import Any

import pytest

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.openai import OpenAIAdapter
from llm_gateway.providers.openai_compatible import OpenAICompatibleAdapter
from llm_gateway.version import VERSION
from llm_gateway.wire.chat import Usage, parse_request
from llm_gateway_config import Provider, Secret

KEY = "sk-top-secret"


def adapter(**settings: Any) -> OpenAIAdapter:
    usual: dict[str, Any] = {
        "base_url": "https://llm.example.com/v1",
        "api_key": Secret(KEY),
        "organization": None,
        "headers": {},
        "stream_usage": True,
    }
    return OpenAIAdapter(**usual | settings)


def request_of(
    made: OpenAIAdapter, body: bytes = b'{"model":"m"}', model: str = "m", headers: bytes = b""
) -> bytes:
    return made.encode(body, parse_request(body), model, headers)


def test_a_request_in_full() -> None:
    made = adapter(organization="org-1", headers={"X-Team": Secret("blue")})
    assert request_of(made, b'{"model":"a"}', "b", b"x-request-id: req_1\r\n") == (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"Host: llm.example.com\r\n"
        b"User-Agent: llm-gateway/" + VERSION.encode() + b"\r\n"
        b"Accept: application/json, text/event-stream\r\n"
        b"Accept-Encoding: identity\r\n"
        b"Content-Type: application/json\r\n"
        b"Authorization: Bearer sk-top-secret\r\n"
        b"OpenAI-Organization: org-1\r\n"
        b"X-Team: blue\r\n"
        b"x-request-id: req_1\r\n"
        b"Content-Length: 13\r\n\r\n"
        b'{"model":"b"}'
    )


def test_without_a_key_there_is_no_authorization() -> None:
    assert b"authorization" not in request_of(adapter(api_key=None)).lower()


def test_an_extra_header_takes_the_place_of_ours() -> None:
    head = request_of(adapter(headers={"authorization": Secret("Custom x"), "user-agent": Secret("me")}))
    assert head.lower().count(b"authorization:") == 1
    assert b"\r\nauthorization: Custom x\r\n" in head
    assert b"\r\nuser-agent: me\r\n" in head


ADDRESSES = {
    "http://localhost:11434/v1": (b"/v1/chat/completions", b"localhost:11434"),
    "http://localhost:80": (b"/chat/completions", b"localhost"),
    "https://LLM.example.com:443/v1/": (b"/v1/chat/completions", b"llm.example.com"),
    "https://llm.example.com:80/a%2Fb/v1": (b"/a%2Fb/v1/chat/completions", b"llm.example.com:80"),
    "http://[::1]:8000/v1": (b"/v1/chat/completions", b"[::1]:8000"),
}


@pytest.mark.parametrize("base_url", ADDRESSES)
def test_addresses(base_url: str) -> None:
    path, host = ADDRESSES[base_url]
    head = request_of(adapter(base_url=base_url))
    assert head.startswith(b"POST " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n")


USAGE_ASKED: dict[str, tuple[bytes, bool, bool]] = {
    "a stream": (b'{"model":"m","stream":true}', True, True),
    "no stream": (b'{"model":"m","stream":false}', True, False),
    "a server that refuses it": (b'{"model":"m","stream":true}', False, False),
}


@pytest.mark.parametrize("sentence", USAGE_ASKED)
def test_usage_is_asked_of_streams(sentence: str) -> None:
    body, stream_usage, asked = USAGE_ASKED[sentence]
    sent = json.loads(request_of(adapter(stream_usage=stream_usage), body).partition(b"\r\n\r\n")[2])
    assert sent.get("stream_options") == ({"include_usage": True} if asked else None)


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "a line break in the key": {"api_key": Secret(KEY + "\r\nX: y")},
    "NUL in the key": {"api_key": Secret(KEY + "\0")},
    "a key beyond Latin-1": {"api_key": Secret(KEY + "漢")},
    "a line break in the organization": {"organization": KEY + "\n"},
    "a line break in a header": {"headers": {"X-A": Secret(KEY + "\n")}},
    "a line break in a header's name": {"headers": {"X-A\r\nX": Secret("a")}},
    "a blank in a header's name": {"headers": {"X A": Secret("a")}},
    "a header without a name": {"headers": {"": Secret("a")}},
    "a length": {"headers": {"Content-length": Secret("1")}},
    "a host": {"headers": {"HOST": Secret("x")}},
    "a coding": {"headers": {"transfer-encoding": Secret("chunked")}},
    "another scheme": {"base_url": "ftp://x/v1"},
    "no address": {"base_url": ""},
    "no host": {"base_url": "http:///v1"},
    "a blank in the address": {"base_url": "http://x/v1 HTTP/1.1"},
    "a line break in the address": {"base_url": "http://x/v1\r\nX: y"},
}


@pytest.mark.parametrize("sentence", IMPOSSIBLE)
def test_what_cannot_be_a_request_head_is_refused_and_not_shown(sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        adapter(**IMPOSSIBLE[sentence])
    assert KEY not in str(caught.value)


def test_adapters_of_a_document() -> None:
    openai = Provider.model_validate({"type": "openai", "api_key": KEY, "organization": "org-1"})
    head = request_of(OpenAIAdapter.of(openai))
    assert b"\r\nHost: api.openai.com\r\n" in head
    assert b"\r\nOpenAI-Organization: org-1\r\n" in head
    assert b"\r\nAuthorization: Bearer sk-top-secret\r\n" in head
    local = Provider.model_validate({"type": "openai_compatible", "base_url": "http://127.0.0.1:8000/v1"})
    head = request_of(OpenAICompatibleAdapter.of(local))
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert b"uthorization" not in head


# Completions.


def completion(body: bytes, headers: dict[bytes, bytes] | None = None) -> Usage | None:
    answer = adapter().completion(body, headers or {})
    assert answer.body is body
    assert answer.unknown_finish is None
    return answer.usage


def test_an_answer_whose_finish_reason_clients_do_not_know() -> None:
    choices = b'[{"finish_reason":"stop"},{"finish_reason":"ran into sk-top-secret"}]'
    body = b'{"choices":%b,"usage":{"total_tokens":3}}' % choices
    answer = adapter().completion(body, {})
    assert answer.body == body.replace(b'"ran into', b'"length","native_finish_reason":"ran into')
    assert (answer.unknown_finish, answer.usage) == ("ran into ***", Usage(0, 0, 3))
    long = adapter().completion(b'{"choices":[{"finish_reason":"%b"}]}' % (b"x" * 100), {})
    assert long.unknown_finish == "x" * 64
    assert b"x" * 100 in long.body


def test_a_completion_and_its_usage() -> None:
    body = b'{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
    assert completion(body) == Usage(3, 2, 5)
    assert completion(b'{"choices":[{}],"usage":null}') is None
    assert completion(b'{"choices":[{"logprobs":NaN}]}') is None
    assert completion(b'{"choices":[{}],"error":null}') is None
    assert completion(b'{"choices":[{"finish_reason":"stop"},{"finish_reason":7}]}') is None


NO_COMPLETION: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty answer"),
    "blank": (b"\r\n", "empty answer"),
    "HTML": (b"\n<html>", "answered with HTML"),
    "cut": (b'{"choices":[{"message":{}}]', "sent malformed JSON (Input data was truncated)"),
    "text": (b"oops", "sent malformed JSON (JSON is malformed: invalid character (byte 0))"),
    "an array": (b"[]", "sent malformed JSON (Expected `object`, got `array`)"),
    "no choices": (b'{"id":"x"}', "sent an answer without choices"),
    "empty choices": (b'{"choices":[]}', "sent an answer without choices"),
    "null choices": (b'{"choices":null}', "sent an answer without choices"),
    "an error": (
        b'{"error":{"message":"overloaded at https://llm.example.com/v1/x with sk-top-secret"}}',
        "sent an error in a 200: overloaded at *** with ***",
    ),
    "an error beside choices": (b'{"choices":[{}],"error":"boom"}', "sent an error in a 200: boom"),
}


@pytest.mark.parametrize("sentence", NO_COMPLETION)
def test_what_is_no_completion(sentence: str) -> None:
    body, message = NO_COMPLETION[sentence]
    with pytest.raises(UpstreamFailure) as caught:
        completion(body)
    assert (caught.value.kind, caught.value.message) == (FailureKind.bad_answer, message)
    assert caught.value.retryable


def test_a_compressed_completion_is_refused() -> None:
    with pytest.raises(UpstreamFailure):
        completion(b'{"choices":[{}]}', {b"content-encoding": b"gzip"})
    assert completion(b'{"choices":[{}]}', {b"content-encoding": b"identity"}) is None
