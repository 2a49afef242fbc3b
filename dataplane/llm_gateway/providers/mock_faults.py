"""What the mock does instead of answering well: a whole other answer, or another end of a stream."""

import math
from collections.abc import Iterator

from llm_gateway.errors import error_body
from llm_gateway.providers.mock_answer import DONE, Answer
from llm_gateway.providers.mock_steps import (
    CHUNKED,
    EVENTS,
    TERMINAL_CHUNK,
    Close,
    Reset,
    Send,
    Silence,
    Step,
    head,
    paced,
    whole,
)
from llm_gateway.wire.http1 import chunk
from llm_gateway_config import MockFault, MockFaultKind, MockOptions

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
FAILURE = "The server had an error while processing your request."

_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def ending(answer: Answer, *, done: bool) -> Send:
    return Send(chunk(answer.closing()) + (chunk(DONE) if done else b"") + TERMINAL_CHUNK)


# Faults that take the place of the whole answer.


def _status(fault: MockFault, _: Answer) -> Iterator[Step]:
    kind = _ERROR_TYPES.get(fault.status, "server_error" if fault.status >= 500 else "invalid_request_error")
    headers = b""
    if fault.retry_after is not None:
        # The header knows whole seconds only; OpenAI sends the exact time beside it.
        milliseconds = math.ceil(fault.retry_after * 1000)
        headers = b"Retry-After: %d\r\nRetry-After-Ms: %d\r\n" % (math.ceil(fault.retry_after), milliseconds)
    yield whole(fault.status, error_body(FAILURE, kind), headers=headers)


def _reset(_: MockFault, __: Answer) -> Iterator[Step]:
    yield Reset()


def _silence(_: MockFault, __: Answer) -> Iterator[Step]:
    yield Silence()


def _html(_: MockFault, __: Answer) -> Iterator[Step]:
    yield whole(200, HTML, b"text/html; charset=utf-8")


def _empty(_: MockFault, answer: Answer) -> Iterator[Step]:
    yield Send(head(200, CHUNKED, EVENTS) + TERMINAL_CHUNK) if answer.stream else whole(200, b"")


AT_ONCE = {
    MockFaultKind.STATUS: _status,
    MockFaultKind.RESET: _reset,
    MockFaultKind.SILENCE: _silence,
    MockFaultKind.HTML: _html,
    MockFaultKind.EMPTY: _empty,
}


# Faults in the middle of a stream: what comes instead of the rest.


def _cut(_: Answer, __: Iterator[bytes], ___: MockOptions) -> Iterator[Step]:
    yield Close()


def _stall(_: Answer, __: Iterator[bytes], ___: MockOptions) -> Iterator[Step]:
    yield Silence()


def _malformed(answer: Answer, content: Iterator[bytes], options: MockOptions) -> Iterator[Step]:
    """One event breaks off in its JSON; the rest follows as if nothing had been, so a token is missing."""
    event = next(content, answer.opening())
    yield Send(chunk(event[: len(event) // 2].rstrip() + b"\n\n"))
    yield from paced(content, options.tokens_per_second)
    yield ending(answer, done=True)


def _error_event(_: Answer, __: Iterator[bytes], ___: MockOptions) -> Iterator[Step]:
    yield Send(chunk(b"data: " + error_body(FAILURE, "server_error") + b"\n\n") + TERMINAL_CHUNK)


MIDWAY = {
    MockFaultKind.CUT: _cut,
    MockFaultKind.STALL: _stall,
    MockFaultKind.MALFORMED: _malformed,
    MockFaultKind.ERROR_EVENT: _error_event,
}
