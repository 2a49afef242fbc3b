"""One connection to a provider: one request out, one answer in, then the next.

The transport below may be TCP, TLS or the mock's; the bytes are HTTP/1.1 in each case. Unread bytes are bounded: at
`UNREAD_LIMIT` the transport stops reading until the request takes some.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from llm_gateway.drive import Clock, Signal
from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.wire.http1 import ChunkedBody, ProtocolError, ResponseHead, parse_head

UNREAD_LIMIT = 256 * 1024
STALE_TIME = (
    1.0  # seconds after sending; a close that comes later may be that of a server that was at work on it
)
LINGER = 1.0  # seconds for the end of an answer whose request has ended


class StaleConnection(Exception):
    """A pooled connection was closed before any byte of the answer: the request may be sent again, once."""


class UpstreamConnection(asyncio.Protocol):
    """Read with `head()` once, then `read()` until it returns b""; then `release()` or, at any time, `abort()`."""

    __slots__ = (
        "_clock",
        "_failure",
        "_forget",
        "_framed",
        "_give_back",
        "_head",
        "_lingering",
        "_paused",
        "_raw",
        "_sent_at",
        "_signal",
        "_transport",
        "_unread",
        "_unread_size",
        "busy",
        "closed",
        "idle_since",
        "used",
    )

    def __init__(
        self,
        clock: Clock,
        give_back: Callable[["UpstreamConnection"], None],
        forget: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._clock = clock
        self._give_back = give_back
        self._forget = forget
        self._signal = Signal(clock)
        self._transport: asyncio.Transport | None = None
        self.closed = False
        self.busy = False
        self.used = False  # carried an answer before: it may have gone stale
        self.idle_since = 0.0
        self._sent_at = 0.0
        self._reset()

    def _reset(self) -> None:
        self._head: ResponseHead | None = None
        self._failure: UpstreamFailure | None = None
        self._raw = b""
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._framed: bytes | None = None
        self._paused = False
        self._lingering: asyncio.TimerHandle | None = None

    # What the request does.

    def send(self, request: bytes) -> None:
        """Write one whole request, head and body, in one write."""
        self._reset()
        self.busy = True
        self._sent_at = self._clock.now()
        if self._transport is not None:
            self._transport.write(request)

    async def head(self, until: float) -> ResponseHead | None:
        """The answer's head; None when `until` came first."""
        while self._head is None:
            if self._failure is not None:
                raise self._failure
            if self.closed:
                if self.used and not self._raw and self._clock.now() - self._sent_at < STALE_TIME:
                    raise StaleConnection
                raise UpstreamFailure(FailureKind.reset, "closed the connection before it answered")
            if self._clock.now() >= until:
                return None
            self._signal.until = until
            await self._signal
        return self._head

    async def read(self, until: float) -> bytes | None:
        """What has come of the body, b"" at its end; None when `until` came first.

        Raises UpstreamFailure when the connection broke before the body was whole.
        """
        late = False
        while not self._unread:
            if self._failure is not None:
                raise self._failure
            body = self._head.body if self._head is not None else None
            if body is None or body.done or (self.closed and body.at_eof()):
                return b""
            if self.closed:
                raise UpstreamFailure(
                    FailureKind.truncated, "closed the connection in the middle of its answer"
                )
            if late:
                return None
            self._signal.until = until
            await self._signal
            late = self._clock.now() >= until
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._unread_size = 0
        if len(self._unread) == 1:
            return self._unread.pop()
        payload = b"".join(self._unread)
        self._framed = None
        self._unread.clear()
        return payload

    @property
    def framed(self) -> bytes | None:
        """The last read's payload with the chunk framing it came in, where that was whole chunks in one piece."""
        return self._framed

    def release(self) -> None:
        """The answer is done with: keep the connection for the next request if it can be kept.

        The end of the body's framing often comes a moment after the last event of a stream: it is waited for here,
        not by the request.
        """
        head = self._head
        if head is None or not head.keep_alive or self.closed or self._failure is not None:
            return self.abort()
        body = head.body
        if body is not None and not body.done:
            self._lingering = self._clock.loop.call_later(LINGER, self.abort)
            return None
        if self._unread or (body is not None and body.excess):
            return self.abort()
        self.busy = False
        self.used = True
        self.idle_since = self._clock.now()
        return self._give_back(self)

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.busy = False
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._transport is not None and not self.closed:
            self._transport.abort()

    # What the transport does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.busy or self._failure is not None:
            return self.abort()  # bytes nobody asked for: the answers would no longer match the requests
        try:
            if self._head is None:
                data = self._read_head(data)
            if data and self._head is not None:
                self._read_body(data)
        except ProtocolError as error:
            self._failure = UpstreamFailure(FailureKind.bad_answer, f"sent a malformed answer ({error})")
            self._failure.__cause__ = error.with_traceback(None)  # the frames hold this connection: a cycle
        if self._lingering is None:
            self._signal.fire()
        else:
            self._end_linger()

    def _end_linger(self) -> None:
        """More of a body whose request has ended: only its end is of interest, and only if it comes at once."""
        body = self._head.body if self._head is not None else None
        if self._unread or self._failure is not None:
            self.abort()
        elif body is None or body.done:
            if self._lingering is not None:
                self._lingering.cancel()
                self._lingering = None
            self.release()

    def _read_head(self, data: bytes) -> bytes:
        """Returns what of `data` lies behind the head; the head may still be incomplete."""
        self._raw = self._raw + data if self._raw else data
        parsed = parse_head(self._raw)
        if parsed is None:
            return b""
        self._head, consumed = parsed
        rest, self._raw = self._raw[consumed:], b"-"  # not empty: an answer has begun
        return rest

    def _read_body(self, data: bytes) -> None:
        body = self._head.body if self._head is not None else None
        if body is None:
            raise ProtocolError("a body where none may be")
        payload = body.feed(data)
        if payload:
            self._framed = data if type(body) is ChunkedBody and body.aligned else None
            self._unread.append(payload)
            self._unread_size += len(payload)
        too_much = self._unread_size > UNREAD_LIMIT or body.excess
        if too_much and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        self._forget(self)
        self._signal.fire()
