"""The load: bare protocol clients that send the same bytes again and again and check what comes back.

Run as `python -m bench.load {requests,streams,hold} PORT ...`; the last line on stdout is a JSON object. An answer
of another status or length, or a stream without all its events, is an error; a run with an error counts for nothing.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

from bench import payload

HOST = "127.0.0.1"
# Seconds after which a load that has not ended counts as failed.
PATIENCE = 120.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MARK = b"data: "


class Client(asyncio.Protocol):
    """One keep-alive connection. `finish` is called once, with an error or None, when its work is over."""

    def __init__(self, finish: Callable[[str | None], None]) -> None:
        self._finish: Callable[[str | None], None] | None = finish

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are Transports by shape, not by class.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(f"connection lost: {exc or 'closed by the server'}")

    def end(self, error: str | None) -> None:
        if (finish := self._finish) is not None:
            self._finish = None
            self.transport.abort()
            finish(error)


class Requests(Client):
    """Sends the next request when the answer to the last has come, while `take` gives leave."""

    def __init__(
        self, finish: Callable[[str | None], None], request: bytes, take: Callable[[], bool]
    ) -> None:
        super().__init__(finish)
        self._request = request
        self._take = take
        self._held = b""
        self._body_length = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._next()

    def _next(self) -> None:
        if self._take():
            self.transport.write(self._request)
        else:
            self.end(None)

    def data_received(self, data: bytes) -> None:
        if self._held:
            data = self._held + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._held = data
            return
        if self._body_length < 0:
            match = _LENGTH.search(data, 0, head_end + 2)
            self._body_length = int(match[1]) if match else 0
        missing = head_end + 4 + self._body_length - len(data)
        if missing > 0:
            self._held = data
            return
        self._held = b""
        if missing < 0 or self._body_length != payload.ANSWER_BYTES or not data.startswith(b"HTTP/1.1 200"):
            self.end(f"unexpected answer: {data[:200]!r}")
            return
        self._next()


class StreamClient(Client):
    """Asks for one stream and reads it to the end."""

    def __init__(self, finish: Callable[[str | None], None], request: bytes, events: int) -> None:
        super().__init__(finish)
        self._request = request
        self._events = events
        self._tail = b""
        self.seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        # A mark may lie across two reads; the tail is one byte too short to hold a whole one.
        data = self._tail + data
        self.seen += data.count(_MARK)
        self._tail = data[-(len(_MARK) - 1) :]
        if data.endswith(b"0\r\n\r\n"):
            lines = self._events + payload.END_LINES
            self.end(None if self.seen == lines else f"{self.seen} lines of data instead of {lines}")


class Crowd:
    """Counts clients that have finished; the first error is kept."""

    def __init__(self, size: int) -> None:
        self._left = size
        self.errors: list[str] = []
        self.over = asyncio.Event()

    def finish(self, error: str | None) -> None:
        self._left -= 1
        if error is not None:
            self.errors.append(error)
        if self._left <= 0:
            self.over.set()


async def run_requests(port: int, connections: int, count: int) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    crowd = Crowd(connections)
    request = payload.request(f"{HOST}:{port}")
    left = count

    def take() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    started = time.monotonic()
    for _ in range(connections):
        await loop.create_connection(lambda: Requests(crowd.finish, request, take), HOST, port)
    async with asyncio.timeout(PATIENCE):
        await crowd.over.wait()
    return {"done": count, "seconds": time.monotonic() - started, "errors": crowd.errors[:3]}


async def open_streams(port: int, crowd: Crowd, streams: int, events: int, rate: float) -> list[StreamClient]:
    """Opens them over about one second, so that their events are spread as those of strangers would be."""
    loop = asyncio.get_running_loop()
    request = payload.request(f"{HOST}:{port}", events=events, rate=rate)
    clients = []
    for _ in range(streams):
        made = await loop.create_connection(lambda: StreamClient(crowd.finish, request, events), HOST, port)
        clients.append(made[1])
        await asyncio.sleep(1 / streams)
    return clients


async def run_streams(port: int, streams: int, events: int, rate: float) -> dict[str, object]:
    crowd = Crowd(streams)
    started = time.monotonic()
    await open_streams(port, crowd, streams, events, rate)
    async with asyncio.timeout(PATIENCE):
        await crowd.over.wait()
    return {"done": streams * events, "seconds": time.monotonic() - started, "errors": crowd.errors[:3]}


async def hold_streams(port: int, streams: int, rate: float) -> dict[str, object]:
    """Says `open` when every stream has had an event, and holds them until stdin ends."""
    crowd = Crowd(streams)
    clients = await open_streams(port, crowd, streams, 1_000_000, rate)
    async with asyncio.timeout(PATIENCE):
        # Twenty looks a second cost less than an event would that every client sets.
        while not crowd.errors and not all(client.seen for client in clients):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    result: dict[str, object] = {"done": streams, "seconds": 0.0, "errors": crowd.errors[:3]}
    for client in clients:
        client.end(None)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("mode", choices=["requests", "streams", "hold"])
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=200.0)
    given = parser.parse_args()
    if given.mode == "requests":
        result = uvloop.run(run_requests(given.port, given.connections, given.count))
    elif given.mode == "streams":
        result = uvloop.run(run_streams(given.port, given.streams, given.events, given.rate))
    else:
        result = uvloop.run(hold_streams(given.port, given.streams, given.rate))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
