"""The faults of upstreams as a table: how each is played, and what the gateway has to make of it.

A fault belongs to a phase: before the first content of an answer another target can still take over; in the middle of a
stream nobody can.
"""

import asyncio
import json
import re
from dataclasses import dataclass

from llm_gateway_testing.upstream import (
    DONE,
    END,
    JSON_HEAD,
    ROLE,
    SSE_HEAD,
    STOP,
    USAGE,
    Behaviour,
    Peer,
    answers,
    completion,
    event,
    framed,
    streams,
    words,
)

KEY = "sk-test-0123456789"  # the key of the providers: no client may ever see it
LARGEST_ANSWER = 1_000_000  # bytes; server.max_response_body_size
OPEN_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"  # the body ends with the connection
)
CHUNKED_JSON_HEAD = SSE_HEAD.replace(b"text/event-stream", b"application/json")


@dataclass(frozen=True)
class Fault:
    """`provider`: the one of `PROVIDERS` that meets it. `outcome`: its name in llm_gateway_upstream_attempts_total.

    `says`: a part of the message that the client gets; `status`, `type`, `code`: of the answer when there is no other
    target.
    """

    behave: Behaviour
    outcome: str
    says: str
    provider: str = "plain"
    status: int = 502
    type: str = "provider_error"
    code: str = "provider_error"


# Each rung of the ladder is short in one provider alone, so that no other rung can end a test.
PROVIDERS = {
    "plain": "{}",
    "closed": "{}",
    "full": "{connect: 300ms}",
    "headers": "{headers: 400ms}",
    "first_token": "{first_token: 400ms}",
    "idle": "{idle: 400ms}",
    "total": "{total: 600ms}",
}


def slug(sentence: str) -> str:
    """A model's name for a row of a table."""
    return re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")


# How faults are played.


def sends(data: bytes, then: str = "close") -> Behaviour:
    """These bytes, then `close`, `reset` or `silence`."""

    async def behave(peer: Peer) -> bool:
        if data:
            await peer.send(data)
        if then == "reset":
            await asyncio.sleep(0.05)  # a reset takes with it what the other side has not read yet
            peer.reset()
        elif then == "silence":
            await peer.gone()
        return False

    return behave


def drips(before: bytes, drop: bytes) -> Behaviour:
    """A stream that never ends and never falls silent."""

    async def behave(peer: Peer) -> bool:
        await peer.send(SSE_HEAD)
        await peer.chunk(before + drop)
        while True:
            await asyncio.sleep(0.05)
            await peer.chunk(drop)

    return behave


def error(message: str = "made to fail", **more: str | int) -> bytes:
    return json.dumps({"error": {"message": message} | more}).encode()


def _status(status: int, body: bytes | None = None, outcome: str = "status", says: str = "") -> Fault:
    body = error() if body is None else body
    return Fault(answers(status, body), outcome, says or f"answered {status}")


def _bad(behave: Behaviour, says: str) -> Fault:
    return Fault(behave, "bad_answer", says)


def _malformed(data: bytes, says: str) -> Fault:
    return _bad(sends(data, "silence"), f"malformed answer ({says}")


def _timeout(behave: Behaviour, provider: str, says: str) -> Fault:
    return Fault(behave, "timeout", says, provider, 504, code="provider_timeout")


_unreached = sends(b"")
_silent = sends(b"", "silence")
_HTML = answers(200, b"<!DOCTYPE html><html><body>Please sign in.</body></html>")

# Before the first content, whether the answer was to stream or not.
EITHER = {
    "refuses the connection": Fault(_unreached, "connect", "could not connect", "closed"),
    "does not finish connecting": _timeout(_unreached, "full", "timed out while connecting"),
    "closes before the head": Fault(_unreached, "reset", "closed the connection"),
    "resets before the head": Fault(sends(b"", "reset"), "reset", "closed the connection"),
    "closes within the head": Fault(sends(b"HTTP/1.1 200 OK\r\nConte"), "reset", "closed the connection"),
    "answers 500": _status(500),
    "answers 502 with HTML": _status(502, b"<html>bad gateway</html>"),
    "answers 503": _status(503),
    "answers 504": _status(504),
    "answers 529": _status(529),
    "answers 500 with a long body": _status(500, b"x" * 200_000),
    "answers 408": _status(408),
    "answers 409": _status(409),
    "answers 404 without an error object": _status(404, b"<html>no such page</html>"),
    "answers 302": _status(302, b""),
    "answers 204": Fault(sends(b"HTTP/1.1 204 No Content\r\n\r\n"), "status", "answered 204"),
    "answers 401": _status(401, error(f"bad key {KEY}"), "credential", "refused the gateway's credential"),
    "answers 403": _status(403, error(f"bad key {KEY}"), "credential", "refused the gateway's credential"),
    "answers 402": _status(402, outcome="quota", says="quota is used up"),
    "answers 429 for a spent quota": _status(
        429, error(code="insufficient_quota"), "quota", "quota is used up"
    ),
    "answers 429": Fault(
        answers(429, error()),
        "rate_limit",
        "answered 429",
        "plain",
        429,
        "rate_limit_error",
        "rate_limit_error",
    ),
    "answers 200 with HTML": _bad(_HTML, "answered with HTML"),
    "answers 200 with nothing": _bad(answers(200, b""), "empty answer"),
    "answers 200 with blanks": _bad(answers(200, b" \r\n\n"), "empty answer"),
    "answers 200 with a JSON error": _bad(answers(200, error("out of memory")), "out of memory"),
    "speaks no HTTP": _malformed(b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1.1 answer"),
    "speaks HTTP/2": _malformed(b"HTTP/2 200 OK\r\n\r\n", "malformed status line"),
    "sends a header without a colon": _malformed(b"HTTP/1.1 200 OK\r\nwhat\r\n\r\n", "a header line without"),
    "ends the lines of the head with LF": _malformed(b"HTTP/1.1 200 OK\nA: b\n\n", "a line of the response"),
    "sends two lengths": _malformed(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "malformed or conflicting"
    ),
    "sends an endless head": _malformed(
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", "response head too long"
    ),
    "switches protocols": _malformed(b"HTTP/1.1 101 Now\r\n\r\n", "answered 101"),
    "begins with a malformed chunk": _malformed(SSE_HEAD + b"xyz\r\n", "malformed chunk size"),
}

_ROLE_AND_MORE = event({"role": "assistant", "content": ""}, padding="x" * 60_000)

# Before the first content of a stream.
BEFORE_CONTENT = EITHER | {
    "sends no head in time": _timeout(_silent, "headers", "timed out after 0.4 s waiting for headers"),
    "sends no content in time": _timeout(
        sends(SSE_HEAD + framed(ROLE), "silence"),
        "first_token",
        "timed out after 0.4 s waiting for the first token",
    ),
    "sends comments for content": _timeout(
        drips(ROLE, b": ping\n\n"), "first_token", "timed out after 0.4 s waiting for the first token"
    ),
    "uses up the time without content": _timeout(
        drips(ROLE, b": ping\n\n"), "total", "timed out after 0.6 s waiting for the whole answer"
    ),
    "sends an error object first": Fault(
        streams(b"data: " + error("out of memory") + b"\n\n"), "error_event", "out of memory"
    ),
    "sends an event named error first": Fault(
        streams(b'event: error\ndata: {"message": "out of memory"}\n\n'), "error_event", "out of memory"
    ),
    "sends an error after the role": Fault(
        streams(ROLE, b"data: " + error("out of memory") + b"\n\n"), "error_event", "out of memory"
    ),
    "sends a megabyte without content": _bad(
        streams(*[_ROLE_AND_MORE] * 20), "bytes of events without content"
    ),
    "sends a stream of nothing": _bad(streams(), "empty answer"),
    "sends only [DONE]": _bad(streams(DONE), "empty answer"),
    "sends role and [DONE]": _bad(streams(ROLE, DONE), "empty answer"),
    "sends HTML as a stream": _bad(streams(b"<html></html>"), "answered with HTML"),
    "begins with a malformed event": _bad(streams(b'data: {"choices": [{\n\n'), "malformed chunk"),
    "ends after the role": Fault(streams(ROLE), "truncated", "the stream ended"),
    "closes after the role": Fault(
        streams(ROLE, end=b""), "truncated", "closed the connection in the middle of its answer"
    ),
    "answers a stream with a completion": _bad(answers(200, completion()), "JSON instead of a stream"),
}

# An answer in one piece; all of it is before the first content.
WHOLE = EITHER | {
    "answers nothing in time": _timeout(
        _silent, "total", "timed out after 0.6 s waiting for the whole answer"
    ),
    "stalls within the body": _timeout(
        sends(JSON_HEAD % (200, 500, b"") + b'{"choices": [', "silence"),
        "total",
        "timed out after 0.6 s waiting for the whole answer",
    ),
    "cuts the JSON": _bad(answers(200, completion()[:-40]), "malformed JSON"),
    "closes within the body": Fault(
        sends(JSON_HEAD % (200, 500, b"") + b'{"choices": ['),
        "truncated",
        "closed the connection in the middle",
    ),
    "resets within the body": Fault(
        sends(JSON_HEAD % (200, 500, b"") + b'{"choices": [', "reset"),
        "truncated",
        "closed the connection in the middle",
    ),
    "closes a chunked body without its end": Fault(
        sends(CHUNKED_JSON_HEAD + framed(completion())), "truncated", "closed the connection in the middle"
    ),
    "answers without choices": _bad(answers(200, completion(choices=[])), "without choices"),
    "answers with events": _bad(streams(ROLE, words("hi"), STOP, DONE), "malformed JSON"),
    "answers compressed": _bad(answers(200, b"\x1f\x8b", b"Content-Encoding: gzip\r\n"), "compressed"),
    "answers without end": _bad(
        answers(200, completion("x" * LARGEST_ANSWER)), f"an answer of more than {LARGEST_ANSWER} bytes"
    ),
}

BEGUN = "one two"
BEGUN = "one two"
_begun = ROLE + words("one ", "two")


def _after(data: bytes, then: str = "close") -> Behaviour:
    """A stream of "one two", whose client has read that much before the rest comes: bytes as in `sends`."""

    async def behave(peer: Peer) -> bool:
        await peer.send(SSE_HEAD + framed(_begun))
        await peer.go_on.wait()
        return await sends(data, then)(peer)

    return behave


async def _drips_on(peer: Peer) -> bool:
    await peer.send(SSE_HEAD + framed(_begun))
    await peer.go_on.wait()
    while True:
        await asyncio.sleep(0.05)
        await peer.chunk(b": ping\n\n")


async def _closes_without_length(peer: Peer) -> bool:
    await peer.send(OPEN_SSE_HEAD + _begun)
    await peer.go_on.wait()
    return False


_ERROR_OBJECT = b"data: " + error("out of memory") + b"\n\n"
_ERROR_EVENT = b'event: error\ndata: {"message": "out of memory"}\n\n'
_ERROR_LINE = b'error: {"message": "out of memory"}\n\n'
_MALFORMED_EVENT = b'data: {"choices": [{\n\n'
_CUT = "closed the connection in the middle of its answer"
_STALLED = "timed out after 0.4 s waiting for the next event"


def _told(data: bytes, then: str = "close") -> Fault:
    return Fault(_after(data, then), "error_event", "out of memory")


# In the middle of a stream, after BEGUN. The spare must not be asked.
MIDWAY = {
    "sends an error object": _told(framed(_ERROR_OBJECT) + END),
    "sends an error object and more": _told(framed(_ERROR_OBJECT + STOP + DONE) + END),
    "sends an event named error": _told(framed(_ERROR_EVENT) + framed(DONE) + END),
    "sends a line named error": _told(framed(_ERROR_LINE) + framed(DONE) + END),
    "sends a malformed event": _bad(_after(framed(_MALFORMED_EVENT + STOP + DONE) + END), "malformed chunk"),
    "sends a malformed chunk": _bad(_after(b"xyz\r\n", "silence"), "malformed answer (malformed chunk size"),
    "sends a chunk that is too long": _bad(
        _after(b"2\r\nabc\r\n", "silence"), "malformed answer (chunk data longer than its size"
    ),
    "ends without a finish reason": Fault(_after(END), "truncated", "the stream ended"),
    "ends within an event": Fault(_after(framed(STOP[:-9]) + END), "truncated", "the stream ended"),
    "closes": Fault(_after(b""), "truncated", _CUT),
    "closes within an event": Fault(_after(framed(STOP[:-9])), "truncated", _CUT),
    "closes within a chunk": Fault(_after(framed(STOP)[:-9]), "truncated", _CUT),
    "closes a body of no length": Fault(_closes_without_length, "truncated", "the stream ended"),
    "resets": Fault(_after(b"", "reset"), "truncated", _CUT),
    "stalls": _timeout(_after(b"", "silence"), "idle", _STALLED),
    "stalls within an event": _timeout(_after(framed(STOP[:-9]), "silence"), "idle", _STALLED),
    "uses up the time": _timeout(_drips_on, "total", "timed out after 0.6 s waiting for the whole answer"),
}

_finished = _begun + STOP

# Only the last event is missing, or what comes after it is wrong: the answer is whole.
FINISHED = {
    "ends": ("plain", streams(_finished)),
    "ends after usage": ("plain", streams(_finished + USAGE)),
    "closes": ("plain", streams(_finished, end=b"")),
    "closes a body of no length": ("plain", sends(OPEN_SSE_HEAD + _finished)),
    "resets": ("plain", sends(SSE_HEAD + framed(_finished), "reset")),
    "stalls": ("idle", sends(SSE_HEAD + framed(_finished), "silence")),
    "sends [DONE] without a blank line": ("plain", streams(_finished, b"data: [DONE]")),
    "sends [DONE] and leaves the body open": ("plain", sends(SSE_HEAD + framed(_finished + DONE), "silence")),
    "sends [DONE] without a finish reason": ("plain", streams(_begun, DONE)),
    "sends events after [DONE]": ("plain", streams(_finished, DONE, words("more"))),
}

# The request itself is wrong: status and body of the upstream, and the error object that the client gets.
RELAYED = {
    "400 of OpenAI's shape": (
        400,
        error("too hot", type="invalid_request_error", param="temperature", code="bad_value"),
        {"message": "too hot", "type": "invalid_request_error", "param": "temperature", "code": "bad_value"},
    ),
    "404 of a model": (
        404,
        error("no such model", type="not_found", code="model_not_found"),
        {"message": "no such model", "type": "not_found", "param": None, "code": "model_not_found"},
    ),
    "404 without a type": (
        404,
        error("no such model"),
        {"message": "no such model", "type": "not_found_error", "param": None, "code": None},
    ),
    "413": (
        413,
        error("too long"),
        {"message": "too long", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "422 of FastAPI": (
        422,
        b'{"detail": [{"msg": "field required"}]}',
        {
            "message": '{"detail": [{"msg": "field required"}]}',
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    "422 in plain text": (
        422,
        b"what is this?",
        {"message": "what is this?", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "400 that repeats the key": (
        400,
        error(f"not with {KEY}"),
        {"message": "not with ***", "type": "invalid_request_error", "param": None, "code": None},
    ),
    "400 of an empty error": (
        400,
        b"",
        {
            "message": "the provider refused the request (400)",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
}
