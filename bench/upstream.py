"""The upstream of the benchmark: a bare protocol that answers every request with the same bytes.

Run as `python -m bench.upstream PORT`. Not an HTTP server: it reads what the servers under test send, no more.
"""

import asyncio
import heapq
import re
import sys
from typing import cast

import uvloop

from bench import payload

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = payload.answer()
# How often streams are looked at. libuv's timers have milliseconds, so this is as fine as it gets.
_TICK = 0.001


class Stream:
    """One streamed answer in the making."""

    __slots__ = ("left", "period", "transport", "usage")

    def __init__(self, transport: asyncio.Transport, events: int, period: float, usage: bool) -> None:
        self.transport = transport
        self.left = events
        self.period = period
        self.usage = usage

    def step(self) -> bool:
        """Sends the next event; says whether there is one after it."""
        if self.transport.is_closing():
            return False
        self.left -= 1
        self.transport.write(
            payload.EVENT if self.left else payload.EVENT + payload.stream_end(usage=self.usage)
        )
        return self.left > 0


class Ticker:
    """Sends the events of all streams when they are due. Sleeps while there is no stream."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[tuple[float, int, Stream]] = []
        self._serial = 0

    def add(self, stream: Stream) -> None:
        idle = not self._due
        self._push(self._loop.time() + stream.period, stream)
        if idle:
            self._loop.call_later(_TICK, self._tick)

    def _push(self, when: float, stream: Stream) -> None:
        self._serial += 1
        heapq.heappush(self._due, (when, self._serial, stream))

    def _tick(self) -> None:
        now = self._loop.time()
        due = self._due
        while due and due[0][0] <= now:
            when, _, stream = heapq.heappop(due)
            if stream.step():
                self._push(when + stream.period, stream)
        if due:
            self._loop.call_later(_TICK, self._tick)


class Connection(asyncio.Protocol):
    """One connection of a server under test: keep-alive, one request at a time."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are Transports by shape, not by class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._held + data
        head_end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head_end + 2) if head_end >= 0 else None
        whole = head_end + 4 + int(length[1]) if length else 0
        if not whole or len(data) < whole:
            self._held = data
            return
        self._held = data[whole:]
        self._answer(data[head_end + 4 : whole])

    def _answer(self, body: bytes) -> None:
        asked = payload.settings(body) if b'"stream":true' in body else None
        if asked is None:
            self._transport.write(_ANSWER)
            return
        events, rate = asked
        self._transport.write(payload.STREAM_HEAD)
        self._ticker.add(Stream(self._transport, events, 1 / rate, b'"include_usage":true' in body))


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    ticker = Ticker(loop)
    server = await loop.create_server(lambda: Connection(ticker), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
