"""The data plane inside the test: a runtime of a document's text; a server whose clients are fake transports."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from llm_gateway.drive import Clock
from llm_gateway.runtime import Gateway, Runtime, build
from llm_gateway.server.connection import Connection
from llm_gateway.server.door import Door
from llm_gateway.server.listener import Listener
from llm_gateway.telemetry.instruments import Instruments
from llm_gateway.telemetry.log import RequestLog
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_config import Loaded, load_text
from llm_gateway_testing.client import Answer, Open
from llm_gateway_testing.driven import SetClock
from llm_gateway_testing.transport import LIMIT, FakeTransport


def load(document: str, env: Mapping[str, str] | None = None, base: Path | None = None) -> Loaded:
    return load_text(document, source="gateway.yaml", env=env or {}, base=base)


def runtime(
    document: str, env: Mapping[str, str] | None = None, upstreams: Upstreams | None = None
) -> Runtime:
    return build(load(document, env), upstreams or Upstreams(SetClock()))


class Records:
    """In place of the log: the records of the requests that have ended."""

    def __init__(self) -> None:
        self.ended: list[RequestRecord] = []

    def append(self, record: RequestRecord) -> None:
        self.ended.append(record)


class InProcess:
    """A gateway on a document, without listeners, log and ticks; `clock.time` is what connections are measured by.

    Made inside a running loop, whose own time the mock provider keeps to.
    """

    def __init__(self, document: str, *, clock: Clock | None = None) -> None:
        self.clock = clock or SetClock(asyncio.get_running_loop())
        self.instruments = Instruments("test")
        self.reported: list[BaseException] = []
        records = Records()
        self.records = records.ended
        self.gateway = Gateway(
            self.clock,
            build(load(document), Upstreams(self.clock)),
            self.instruments,
            cast(RequestLog, records),
            lambda error, request_id="": self.reported.append(error),
        )
        self.door = Door(self.gateway)
        self.listener = Listener(self.door)

    def connect(self) -> "FakeClient":
        return FakeClient(self.door)


class FakeClient:
    """The other side of a `Connection`: `feed` it, read its answers."""

    def __init__(self, door: Door) -> None:
        self._reader = asyncio.StreamReader(limit=2**24)
        self.connection = Connection(door)
        self.transport = FakeTransport(self.connection, on_write=self._reader.feed_data)
        self._open = Open(self._reader, cast(asyncio.StreamWriter, None))
        self.transport.connect()

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.transport.feed(piece)

    async def feed_slowly(self, pieces: Iterable[bytes]) -> None:
        """Each piece in a turn of the loop of its own."""
        for piece in pieces:
            await asyncio.sleep(0)
            self.transport.feed(piece)

    async def answer(self) -> Answer:
        """The next answer whole; one that ends with the connection needs `closed` first."""
        async with asyncio.timeout(LIMIT):
            return await self._open.answer()

    async def closed(self) -> None:
        """Returns when the gateway has closed or aborted the connection."""
        await self.transport.until(lambda: self.transport.lost)
        self._reader.feed_eof()

    async def reading(self) -> None:
        """Returns when the gateway reads from the connection."""
        await self.transport.until(lambda: not self.transport.paused)

    async def settled(self, turns: int = 5) -> None:
        """Let what is due now happen: tasks of aiohttp's need a few turns of the loop."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def written(self, text: bytes) -> bytes:
        """All that was written, once `text` is in it."""
        await self.transport.until(lambda: text in self.transport.written)
        return self.transport.written
