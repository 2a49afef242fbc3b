"""What a scripted server does next, and its answers as HTTP/1.1 bytes in such steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from llm_gateway.wire.http1 import chunk

# Bytes in one Send where no pace is asked for.
BATCH = 16 * 1024
TERMINAL_CHUNK = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EVENTS = b"text/event-stream; charset=utf-8"
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes of the answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds until the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """An orderly end of the connection (FIN)."""


@dataclass(frozen=True, slots=True)
class Reset:
    """An abrupt end of the connection (RST)."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing more comes, and the connection stays open."""


Step = Send | Wait | Close | Reset | Silence


def head(status: int, framing: bytes, content_type: bytes = JSON, headers: bytes = b"") -> bytes:
    try:
        reason = HTTPStatus(status).phrase.encode()
    except ValueError:
        reason = b"Unknown"
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n%b%b\r\n" % (
        status,
        reason,
        content_type,
        framing,
        headers,
    )


def length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def whole(status: int, body: bytes, content_type: bytes = JSON, headers: bytes = b"") -> Send:
    return Send(head(status, length(body), content_type, headers) + body)


def paced(events: Iterator[bytes], per_second: int) -> Iterator[Step]:
    """Each item is one chunk; one Send for each where there is a pace, else as many as fit into a batch."""
    if per_second:
        pause = Wait(1 / per_second)
        for event in events:
            yield Send(chunk(event))
            yield pause
        return
    batch: list[bytes] = []
    size = 0
    for event in events:
        batch.append(chunk(event))
        size += len(event)
        if size >= BATCH:
            yield Send(b"".join(batch))
            batch, size = [], 0
    yield Send(b"".join(batch))
