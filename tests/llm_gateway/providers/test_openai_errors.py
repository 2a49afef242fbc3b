import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.errors import FailureKind
from llm_gateway.providers.openai_errors import error_text, rejection, retry_after, scrubber

KEY = "sk-top-secret"
SCRUB = scrubber(
    scheme="http", authority="llm.example.com:8000", host="llm.example.com", secrets=[KEY, "x", "other-value"]
)
ERROR = b'{"error":{"message":"boom","type":"t","param":null,"code":"c"}}'
QUOTA = b'{"error":{"message":"quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}'

CLASSES: dict[str, tuple[int, bytes, FailureKind, bool, str]] = {
    "a server error": (500, ERROR, FailureKind.status, True, "answered 500: boom"),
    "a server error in text": (500, b"boom", FailureKind.status, True, "answered 500"),
    "a bad gateway in HTML": (502, b"<html>", FailureKind.status, True, "answered 502"),
    "unavailable": (503, b"", FailureKind.status, True, "answered 503"),
    "overloaded": (529, b"", FailureKind.status, True, "answered 529"),
    "Cloudflare": (522, b"", FailureKind.status, True, "answered 522"),
    "request timeout": (408, ERROR, FailureKind.status, True, "answered 408: boom"),
    "conflict": (409, ERROR, FailureKind.status, True, "answered 409: boom"),
    "too early": (425, ERROR, FailureKind.status, True, "answered 425: boom"),
    "a redirect": (301, b"", FailureKind.status, True, "answered 301"),
    "a success without a body": (204, b"", FailureKind.status, True, "answered 204"),
    "the key is wrong": (401, ERROR, FailureKind.credential, True, "refused the gateway's credential (401)"),
    "the key may not": (403, ERROR, FailureKind.credential, True, "refused the gateway's credential (403)"),
    "payment required": (402, ERROR, FailureKind.quota, True, "the gateway's quota is used up (402)"),
    "no quota left": (429, QUOTA, FailureKind.quota, True, "the gateway's quota is used up (429)"),
    "limited": (429, ERROR, FailureKind.rate_limit, True, "answered 429: boom"),
    "limited without a word": (429, b"", FailureKind.rate_limit, True, "answered 429"),
    "a bad request": (400, ERROR, FailureKind.status, False, "answered 400: boom"),
    "an unknown model": (404, ERROR, FailureKind.status, False, "answered 404: boom"),
    "an unknown path": (404, b'{"detail":"Not Found"}', FailureKind.status, True, "answered 404"),
    "an unknown page": (404, b"<html>", FailureKind.status, True, "answered 404"),
    "too large": (413, b"", FailureKind.status, False, "answered 413"),
    "not processable": (422, b'{"detail":[]}', FailureKind.status, False, "answered 422"),
    "a teapot": (418, b"short and stout", FailureKind.status, False, "answered 418"),
}


@pytest.mark.parametrize("sentence", CLASSES)
def test_whose_fault_it_is(sentence: str) -> None:
    status, body, kind, retryable, message = CLASSES[sentence]
    failure = rejection(status, {}, body, SCRUB)
    assert (failure.kind, failure.retryable, failure.message, failure.status) == (
        kind,
        retryable,
        message,
        status,
    )


def relayed(status: int, body: bytes) -> dict[str, object]:
    relay = rejection(status, {}, body, SCRUB).relay
    assert relay is not None
    error = json.loads(relay)["error"]
    assert isinstance(error, dict)
    return error


RELAYED: dict[str, tuple[int, bytes, dict[str, object]]] = {
    "OpenAI's own": (
        400,
        b'{"error":{"message":"too long","type":"invalid_request_error",'
        b'"param":"messages","code":"context_length_exceeded"}}',
        {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
    ),
    "a number as code, no type": (
        404,
        b'{"error":{"message":"no such model","code":404}}',
        {"message": "no such model", "type": "not_found_error", "param": None, "code": 404},
    ),
    "a text as error": (
        400,
        b'{"error":"bad"}',
        {"message": "bad", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "without an envelope": (
        400,
        b'{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}',
        {"message": "bad", "type": "BadRequestError", "param": None, "code": 400},
    ),
    "a message that is an object": (
        422,
        b'{"object":"error","message":{"detail":[1]},"type":"x"}',
        {"message": '{"detail":[1]}', "type": "x", "param": None, "code": None},
    ),
    "FastAPI's": (
        422,
        b'{"detail":[{"loc":["body"]}]}',
        {
            "message": '{"detail":[{"loc":["body"]}]}',
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    "text": (
        400,
        b"bad\nrequest",
        {"message": "bad\nrequest", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "HTML": (
        413,
        b"<html><h1>413</h1>",
        {
            "message": "the provider refused the request (413)",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    "no UTF-8": (
        400,
        b"\xff",
        {"message": "\ufffd", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "keys and addresses": (
        400,
        b'{"error":{"message":"at http://LLM.example.com:8000/v1/chat?x=1 by sk-top-secret","code":"sk-top-secret",'
        b'"param":"llm.example.com","type":"other-value"}}',
        {"message": "at *** by ***", "type": "***", "param": "***", "code": "***"},
    ),
}


@pytest.mark.parametrize("sentence", RELAYED)
def test_what_the_client_is_told(sentence: str) -> None:
    status, body, expected = RELAYED[sentence]
    assert relayed(status, body) == expected


def test_a_key_is_taken_out_before_a_text_is_cut() -> None:
    for length in range(1014, 1026):
        assert "sk-" not in str(relayed(400, ("😀" * length + KEY).encode())["message"])


def test_long_texts_are_cut() -> None:
    assert len(str(relayed(400, b"x" * 100_000)["message"])) == 2048
    assert len(str(relayed(400, b'{"error":{"message":"' + b"x" * 9000 + b'"}}')["message"])) == 2048
    assert len(rejection(500, {}, b'{"error":"' + b"x y " * 900 + b'"}', SCRUB).message) < 230


@given(st.integers(300, 599), st.text(max_size=9), st.sampled_from(["", " ", '"', "/"]))
def test_a_message_never_has_the_key(status: int, text: str, glue: str) -> None:
    error = json.dumps({"error": {"message": text + glue + KEY, "type": KEY, "code": KEY, "param": KEY}})
    for body in (error.encode(), f"{text}{glue}{KEY}".encode()):
        failure = rejection(status, {}, body, SCRUB)
        assert KEY not in failure.message
        assert KEY.encode() not in (failure.relay or b"")


SCRUBBED = {
    "connect to http://llm.example.com:8000/v1 failed": "connect to *** failed",
    "host llm.example.com port 8000": "host *** port 8000",
    "x is no secret": "x is no secret",
    "sk-top-secretsk-top-secret": "******",
}


@pytest.mark.parametrize("text", SCRUBBED)
def test_scrub(text: str) -> None:
    assert SCRUB(text) == SCRUBBED[text]


def test_a_host_that_is_a_word_stays_a_word() -> None:
    scrub = scrubber(scheme="http", authority="vllm:8000", host="vllm", secrets=[])
    assert scrub("vllm says no at vllm:8000, http://vllm:8000/v1") == "vllm says no at ***, ***"
    plain = scrubber(scheme="https", authority="model", host="model", secrets=[])
    assert plain("the model at https://model/v1 is gone") == "the model at *** is gone"


WAITS: dict[str, tuple[dict[bytes, bytes], float | None]] = {
    "none": ({}, None),
    "seconds": ({b"retry-after": b"7"}, 7),
    "a fraction": ({b"retry-after": b"0.5"}, 0.5),
    "milliseconds": ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 1.5),
    "Azure's milliseconds": ({b"x-ms-retry-after-ms": b"250"}, 0.25),
    "broken milliseconds beside seconds": ({b"retry-after-ms": b"soon", b"retry-after": b"9"}, 9),
    "a date": (
        {b"retry-after": b"Wed, 21 Oct 2026 07:28:30 GMT", b"date": b"Wed, 21 Oct 2026 07:28:00 GMT"},
        30,
    ),
    "a date of the past": (
        {b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT", b"date": b"Wed, 21 Oct 2026 07:28:30 GMT"},
        0,
    ),
    "a date without a date": ({b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    "one date with a zone, one without": (
        {b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT", b"date": b"Wed, 21 Oct 2026 07:28:00 -0000"},
        None,
    ),
    "negative": ({b"retry-after": b"-5"}, 0),
    "infinite": ({b"retry-after": b"inf"}, None),
    "not a number": ({b"retry-after": b"nan"}, None),
    "words": ({b"retry-after": b"a while"}, None),
}


@pytest.mark.parametrize("sentence", WAITS)
def test_how_long_to_wait(sentence: str) -> None:
    headers, expected = WAITS[sentence]
    assert retry_after(headers) == expected


def test_a_limit_and_a_server_error_say_how_long() -> None:
    for status in (429, 503):
        assert rejection(status, {b"retry-after": b"3"}, b"", SCRUB).retry_after == 3


TEXTS = {
    "an error": (ERROR, "boom"),
    "text": (b" a\n b ", "a b"),
    "HTML": (b"<p>", ""),
    "nothing": (b"", ""),
    "an error without a message": (b'{"error":{}}', ""),
}


@pytest.mark.parametrize("sentence", TEXTS)
def test_error_text(sentence: str) -> None:
    body, text = TEXTS[sentence]
    assert error_text(body, SCRUB) == text
