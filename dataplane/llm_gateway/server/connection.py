"""A client's connection: reads requests and has them answered, through itself (see `answers`).

The hot shape is served here. At the first request of any other shape aiohttp's handler takes over reading, for the
rest of the connection's life; answers still go out through this object, so that both ways answer alike.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from llm_gateway.call import Call, ClientGone
from llm_gateway.drive import Drive
from llm_gateway.errors import GatewayError, RequestTimeout, Unavailable
from llm_gateway.pipeline import handle, settle_unread
from llm_gateway.server.answers import Answers
from llm_gateway.server.door import Door
from llm_gateway.server.hot_head import HOT_LINE, HotHead, read_hot_head
from llm_gateway.server.responses import JSON
from llm_gateway.server.stock import StockHandler

QUEUE_LIMIT = 64 * 1024  # bytes of the next requests that are taken in while one is being answered
LINGER = 5.0  # seconds that a client has to read an error and close, before the connection is closed on it
UNREAD = frozenset((400, 408, 413, 415, 417))  # errors that may leave a body unread


class Connection(Answers):
    """One request at a time; those that are pipelined behind it wait."""

    __slots__ = (
        "_after",
        "_behind",
        "_drive",
        "_handling",
        "_have",
        "_lingering",
        "_need",
        "_parts",
        "_reading_paused",
        "_reading_since",
        "_since",
        "_stock",
        "client",
    )

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self._stock: StockHandler | None = None
        self._drive: Drive | None = None
        self._after: Callable[[BaseException | None], None] | None = None
        self._parts: list[bytes] = []  # of a request that is not whole yet, or of those that wait behind one
        self._have = 0
        self._behind = False  # what lies in `_parts` waits for `_next`, not for more bytes
        self._need = 0  # the length of head and body together, once the head is known
        self._reading_paused = False
        self._reading_since = 0.0  # when the head that aiohttp is reading began; 0: none is
        self._since = 0.0  # when the connection became idle, or the request that is not whole yet last moved
        self._handling = False  # aiohttp has handed a request to the router, which has not answered yet
        self._lingering: asyncio.TimerHandle | None = None
        self.client = ""

    # Reading.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._since = self._door.clock.now()
        if not self._door.admit(self):
            self._next_answer(self._door.new_request_id(), b"")
            self._close = True
            full = Unavailable("the gateway has as many connections as it may have", retry_after=1.0)
            self.unread(self._since, full)
            self.fail(full)
            self._linger()

    def data_received(self, data: bytes) -> None:
        if self._stock is not None:
            self._since = self._door.clock.now()
            if not self._reading_since and not self._handling:
                self._reading_since = self._since
            self._stock.data_received(data)
        elif self._close:
            return
        elif self._drive is not None or self._behind:
            self._queue(data)
        else:
            self._read(data)

    def _queue(self, data: bytes) -> None:
        """Pipelined requests wait their turn; a client that sends many is not read from until then.

        While it is not, its leaving shows only when something is written: a heartbeat, at the latest.
        """
        self._parts.append(data)
        self._have += len(data)
        if self._have > QUEUE_LIMIT and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        """What waits is few enough, or is not yet one whole request."""
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    def _read(self, data: bytes) -> None:
        if self._partial:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                self._since = self._door.clock.now()
                return
            data = b"".join(self._parts)
            self._parts, self._have = [], 0
        else:
            self._since = self._door.clock.now()
        if not data.startswith(HOT_LINE):
            return self._hold(data, 0) if HOT_LINE.startswith(data) else self._hand_over(data)
        end = data.find(b"\r\n\r\n", len(HOT_LINE) - 2)
        limits = self._door.limits
        if end < 0:
            return self._hold(data, 0) if len(data) <= limits.max_header_size else self._hand_over(data)
        head = read_hot_head(data[len(HOT_LINE) : end]) if end <= limits.max_header_size else None
        if head is None or head.content_length > limits.max_request_body_size:
            return self._hand_over(data)
        need = end + 4 + head.content_length
        if len(data) < need:
            return self._hold(data, need)
        self._need = 0
        if len(data) > need:
            self._parts, self._have = [data[need:]], len(data) - need
        if self._have <= QUEUE_LIMIT:
            self._read_on()
        self._begin(head, data[end + 4 : need])

    def _hold(self, data: bytes, need: int) -> None:
        self._parts, self._have, self._need = [data], len(data), need
        self._read_on()

    def _hand_over(self, data: bytes) -> None:
        self._parts, self._have, self._need = [], 0, 0
        self._since = self._reading_since = self._door.clock.now()
        self._read_on()
        if self._transport is not None:
            self._stock = self._door.stock_handler()
            self._stock.connection_made(self._transport)
            self._stock.data_received(data)

    def _begin(self, head: HotHead, body: bytes) -> None:
        request_id = head.request_id or self._door.new_request_id()
        self._next_answer(request_id, b"")
        self.run(Call(body, request_id, head.forwarded, self.client, self._door.clock.now(), self))

    # One request at a time.

    def run(
        self,
        call: Call,
        after: Callable[[BaseException | None], None] | None = None,
        *,
        unframed: bool = False,
    ) -> None:
        """Drive one call to its end, then `after`. `unframed`: the client speaks HTTP/1.0 and knows no chunks."""
        self._after = after
        self._unframed = unframed
        self._drive = drive = Drive(handle(call, self._door.gateway), self._done)
        self._door.began(self)
        drive.resume()

    def _done(self, error: BaseException | None) -> None:
        self._drive = None
        self._streaming = False
        self._since = self._door.clock.now()
        self._door.ended(self)
        if error is not None:
            self.report(error)
            self.abort()
        after, self._after = self._after, None
        if after is not None:
            return after(error)
        if self._close:
            self.close()
        elif self._parts:
            self._behind = True
            self._door.clock.loop.call_soon(self._next)

    def _next(self) -> None:
        """The request that waited while the last one was answered; it waits on while the client reads no answers."""
        if self._drive is None and self._behind and not self.full and self._transport is not None:
            self._behind = False
            data = b"".join(self._parts)
            self._parts, self._have = [], 0
            self._read(data)

    # Requests that aiohttp read.

    def began_request(self, request_id: str, *, close: bool, bodyless: bool, headers: bytes) -> None:
        """A head is whole. `close`: the client wants no further answer on this connection. `bodyless`: it is HEAD."""
        self._next_answer(request_id, headers, bodyless=bodyless)
        self._reading_since = 0.0
        self._handling = True
        self._close = self._close or close

    def ended_request(self) -> None:
        self._handling = False
        self._since = self._door.clock.now()
        if self._door.draining:
            self._door.left()

    def answer(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        """A response that needs no upstream."""
        self.headers += headers
        self.respond(status, JSON, body)

    def answer_error(self, error: GatewayError) -> None:
        """An error before any call: where the rest of the request may lie unread, nothing can follow it."""
        if not self._request_id:
            self._request_id = self._door.new_request_id()
        self._close = self._close or error.status in UNREAD
        self.fail(error)
        if self._close:
            self._linger()

    def unread(self, received: float, error: GatewayError) -> None:
        """Log and count a request that is refused before it is whole."""
        settle_unread(self._door.gateway, self._request_id, self.client, received, error)

    def go_on(self) -> None:
        """RFC 9110, 10.1.1: the body is wanted."""
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def complete(self, body: bytes, forwarded: bytes, *, unframed: bool) -> None:
        """Run one chat completion; returns when its answer has gone out. Awaited by a task of aiohttp's."""
        loop = self._door.clock.loop
        ended: asyncio.Future[None] = loop.create_future()
        call = Call(body, self._request_id, forwarded, self.client, self._door.clock.now(), self)
        self.run(call, lambda _: ended.set_result(None) if not ended.done() else None, unframed=unframed)
        await ended

    def report(self, error: BaseException) -> None:
        self._door.report(error, self._request_id)

    def interrupt(self, error: Exception) -> None:
        """Raise `error` in the request under way."""
        if self._drive is not None:
            self._drive.throw(error)

    @property
    def ends(self) -> bool:
        """Whether nothing can follow the answer that was sent."""
        return self._close

    # Time.

    def expire(self, now: float, header_timeout: float, keep_alive_timeout: float) -> None:
        """Close when a request does not become whole in time, or when none comes."""
        if self._drive is not None or self._handling or self._lingering is not None:
            return
        if self._stock is not None:
            late = self._reading_since and now - self._reading_since > header_timeout
        else:
            late = self._partial and now - self._since > header_timeout
        if late:
            self._next_answer(self._door.new_request_id(), b"")
            self._close = True
            self.fail(RequestTimeout("the request did not arrive in time"))
            self._linger()
        elif not self._partial and now - self._since > keep_alive_timeout:
            self._close_idle()

    def _close_idle(self) -> None:
        """At once when the client has not even taken its last answer: an orderly end would wait for that for ever."""
        transport = self._transport
        if transport is not None and (transport.is_closing() or transport.get_write_buffer_size()):
            transport.abort()
        else:
            self.close()

    @property
    def _partial(self) -> bool:
        return bool(self._parts or self._need or self._reading_since)

    @property
    def occupied(self) -> bool:
        """Whether a request is being answered, or on its way in."""
        return self._drive is not None or self._handling or self._partial

    def _linger(self) -> None:
        """Close, but let the client read what was sent last, even while it is still sending itself.

        To close with bytes unread resets the connection, and a reset overtakes the answer (RFC 9112, 9.6).
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._lingering is not None:
            return
        if self._stock is not None:
            self._stock.detach()
            self._stock = None
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        self._lingering = self._door.clock.loop.call_later(LINGER, self.abort)

    # What the transport says besides.

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stock is not None:
            self._stock.pause_writing()

    def resume_writing(self) -> None:
        if self._stock is not None:
            self._stock.resume_writing()
        super().resume_writing()
        self._next()

    def eof_received(self) -> None:
        if self._stock is not None:
            self._stock.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.full = False
        self._door.release(self)
        if self._lingering is not None:
            self._lingering.cancel()
        if self._drive is not None:
            self._drive.throw(ClientGone())
        if self._stock is not None:
            self._stock.connection_lost(exc)
