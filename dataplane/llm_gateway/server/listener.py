"""The serving port: accepts connections, watches over them, and ends them in order."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

from llm_gateway.call import ShuttingDown
from llm_gateway.drive import TICK
from llm_gateway.server.connection import Connection
from llm_gateway.server.door import Door
from llm_gateway.server.routes import Router
from llm_gateway.server.stock import StockServer

logger = logging.getLogger(__name__)

BACKLOG = 1024
TLS_GOODBYE = 5.0  # seconds for a client to answer the end of its TLS connection
FLUSH_TIME = 1.0  # seconds for the last bytes of interrupted answers to reach their clients
TICKS_PER_EXPIRY = round(1 / TICK)  # idle connections are looked at once a second


class Listener:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._listeners: list[asyncio.Server] = []
        self._ticks = 0
        self._left = asyncio.Event()
        door.left = self._left.set
        door.stock_handler = StockServer(Router(door), loop=door.clock.loop, limits=lambda: door.limits)

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """Accept connections; returns the port (another one when 0 was asked for). Raises OSError."""
        door = self._door
        # A client counts as connected only after its handshake: one that never shakes hands must not stay.
        listener = await door.clock.loop.create_server(
            lambda: Connection(door),
            host,
            port,
            ssl=context,
            backlog=BACKLOG,
            reuse_address=True,
            ssl_handshake_timeout=door.limits.header_timeout if context is not None else None,
            ssl_shutdown_timeout=TLS_GOODBYE if context is not None else None,
        )
        self._listeners.append(listener)
        door.clock.every_tick(self._tick)
        door.ready = True
        return int(listener.sockets[0].getsockname()[1])

    def _tick(self, now: float) -> None:
        door, limits = self._door, self._door.limits
        self._ticks += 1
        if limits.stream_heartbeat:
            for connection in list(door.streams):
                connection.heartbeat(now, limits.stream_heartbeat)
        if self._ticks % TICKS_PER_EXPIRY == 0:
            door.heads.tick()
            for connection in list(door.connections):
                connection.expire(now, limits.header_timeout, limits.keep_alive_timeout)

    async def drain(self, delay: float, timeout: float) -> None:
        """Unready at once; after `delay` refuse new connections; let requests end for `timeout`, then end them."""
        door = self._door
        door.ready = False
        await asyncio.sleep(delay)
        door.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(door.connections):
            if not connection.occupied:
                connection.close()
        await self._until(lambda: not any(connection.occupied for connection in door.connections), timeout)
        if door.busy:
            logger.warning("drain time is over, %d requests are ended", len(door.busy))
        for connection in list(door.busy):
            connection.interrupt(ShuttingDown("the gateway is shutting down; the answer is not complete"))
        for connection in list(door.connections):
            connection.close()
        await self._until(lambda: not door.connections, FLUSH_TIME)
        for connection in list(door.connections):
            connection.abort()

    async def _until(self, done: Callable[[], bool], limit: float) -> None:
        """Returns when `done()` or, at the latest, after `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while not done():
                    self._left.clear()
                    await self._left.wait()
