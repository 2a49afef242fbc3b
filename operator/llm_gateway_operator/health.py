"""Whether this process does its work, and the port where it says so: /healthz, /readyz, /metrics.

Alive is a process whose event loop turns, whose queue is being worked off and whose view of the cluster is renewed.
Ready is one that has seen every kind: one that waits for the Lease is ready too.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

_LONGEST_LAG = 5.0  # seconds
_BEAT = 0.5
_LONGEST_WAIT = 300.0
_OLDEST_SWEEP = 1800.0


class Heart:
    """Measures how late the event loop is. `beat` runs for ever."""

    def __init__(self) -> None:
        self._last = asyncio.get_running_loop().time()
        self._lag = 0.0

    async def beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_BEAT)
            self._lag = loop.time() - self._last - _BEAT
            self._last = loop.time()

    def lag(self) -> float:
        """Seconds, at the last beat or since."""
        late = asyncio.get_running_loop().time() - self._last - _BEAT
        return max(self._lag, late, 0.0)


@dataclass(frozen=True, slots=True)
class Signs:
    """`oldest_sweep`: seconds since the kind that was listed longest ago was; None before the first listing."""

    lag: float
    queue_wait: float
    oldest_sweep: float | None
    seeded: bool


def complaints(signs: Signs) -> Iterator[str]:
    """Why the process should be started again. Pure."""
    if signs.lag > _LONGEST_LAG:
        yield f"the event loop is {signs.lag:.1f} s late"
    if signs.queue_wait > _LONGEST_WAIT:
        yield f"an object has waited {signs.queue_wait:.0f} s for a worker"
    if signs.oldest_sweep is not None and signs.oldest_sweep > _OLDEST_SWEEP:
        yield f"a kind was last listed {signs.oldest_sweep:.0f} s ago"


@asynccontextmanager
async def served(
    host: str, port: int, signs: Callable[[], Signs], exposition: Callable[[], bytes]
) -> AsyncIterator[int]:
    """Answers for the length of a `with`, which gets the port; `port` 0: any that is free. Raises OSError."""
    app = web.Application()

    async def healthz(_: web.Request) -> web.Response:
        said = list(complaints(signs()))
        return web.Response(status=503 if said else 200, text="\n".join(said) or "ok")

    async def readyz(_: web.Request) -> web.Response:
        seeded = signs().seeded
        text = "ok" if seeded else "not every kind has been listed yet"
        return web.Response(status=200 if seeded else 503, text=text)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
