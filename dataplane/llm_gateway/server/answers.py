"""The writing half of a client's connection: the sink of the answer under way."""

import asyncio

from llm_gateway.drive import Signal
from llm_gateway.errors import GatewayError
from llm_gateway.server.door import Door
from llm_gateway.server.responses import JSON, error_event, error_headers
from llm_gateway.wire.http1 import chunk

JOIN_LIMIT = 64 * 1024  # a larger body goes out beside its head instead of being copied behind it
HEARTBEAT = b": keep-alive\n\n"
LAST_CHUNK = b"0\r\n\r\n"


class Answers(asyncio.Protocol):
    """A `call.Sink`. The reading half, a subclass, sets for each request what the answer depends on.

    `_close`: the answer is the last of its connection. `_unframed`: the client speaks HTTP/1.0, which knows no chunks.
    `_bodyless`: the request is HEAD.
    """

    __slots__ = (
        "_bodyless",
        "_close",
        "_door",
        "_request_id",
        "_streaming",
        "_transport",
        "_unframed",
        "_wrote_at",
        "full",
        "headers",
        "started",
        "writable",
    )

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._request_id = ""
        self._close = False
        self._unframed = False
        self._bodyless = False
        self._streaming = False
        self._wrote_at = 0.0
        self.headers = b""
        self.full = False
        self.started = False
        self.writable = Signal(door.clock)

    def _next_answer(self, request_id: str, headers: bytes, *, bodyless: bool = False) -> None:
        """Forget the answer before. `headers`: lines that every answer to this request carries."""
        self._request_id = request_id
        self._bodyless = bodyless
        self._streaming = False
        self.headers = headers
        self.started = False

    def respond(self, status: int, content_type: bytes, body: bytes) -> None:
        head = self._door.heads.whole(
            status, content_type, self._request_id, len(body), self.headers, self._closes()
        )
        self.started = True
        if self._transport is None:
            return
        if self._bodyless:
            self._transport.write(head)
        elif len(body) < JOIN_LIMIT:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def stream(self) -> None:
        self._streaming = True
        self._door.streams_to(self)
        self._wrote_at = self._door.clock.now()

    def write(self, payload: bytes, framed: bytes | None = None) -> None:
        if self._transport is None:
            return
        self._wrote_at = self._door.clock.now()
        data = payload if self._unframed else framed or chunk(payload)
        self._transport.write(data if self.started else self._stream_head() + data)

    def finish(self, final: bytes) -> None:
        if self._transport is None:
            return
        end = final if self._unframed else chunk(final) + LAST_CHUNK
        self._transport.write(end if self.started else self._stream_head() + end)

    def fail(self, error: GatewayError) -> None:
        if self._streaming and self.started:
            self.finish(error_event(error))
        elif not self.started:
            self.headers += error_headers(error)
            self.respond(error.status, JSON, error.body())

    def _stream_head(self) -> bytes:
        self.started = True
        return self._door.heads.stream(
            self._request_id, self.headers, chunked=not self._unframed, close=self._closes()
        )

    def _closes(self) -> bool:
        """Whether the answer about to be sent says that the connection ends with it."""
        self._close = self._close or self._unframed or self._door.draining
        return self._close

    def heartbeat(self, now: float, interval: float) -> None:
        """A comment on a stream that has been silent: intermediaries drop what looks dead."""
        if self._streaming and not self.full and now - self._wrote_at >= interval:
            self.write(HEARTBEAT)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.writable.fire()
