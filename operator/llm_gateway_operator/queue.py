"""Keys waiting for the workers that reconcile them: Schedule, on the event loop's clock."""

import asyncio
import logging
import random
import traceback
from collections.abc import Awaitable, Callable
from typing import Generic

from llm_gateway_operator.kube.errors import KubeError, NotLeading
from llm_gateway_operator.schedule import K, Pace, Schedule

WORKERS = 6

log = logging.getLogger(__name__)


class Queue(Generic[K]):
    """All methods but `run` return at once and belong to the event loop's thread. What comes before `run` waits.

    `pace` holds debounce, backoff and the rest; Schedule says what they mean.
    """

    def __init__(self, pace: Pace | None = None, random: Callable[[], float] = random.random) -> None:
        self._schedule = Schedule[K](random, pace or Pace())
        self._stirred = asyncio.Event()

    def add(self, key: K) -> None:
        """Something changed that concerns `key`: it is worked on after 0.1 s, or up to 2 s while changes go on."""
        self._schedule.add(key, _now())
        self._stirred.set()

    def add_after(self, key: K, delay: float) -> None:
        """`key` is worked on in `delay` seconds, unless it is sooner anyway. Asking for a later time than one that
        is set already changes nothing."""
        self._schedule.add_after(key, delay, _now())
        self._stirred.set()

    async def run(self, work: Callable[[K], Awaitable[float | None]], workers: int = WORKERS) -> None:
        """Calls `work(key)` for ever, up to `workers` at once, never twice at once for one key.

        `work` returns None, or the seconds after which it wants to see the key again if nothing happens before.
        When it raises, it is called again after a growing pause: KubeError is logged as a line (with the server's
        Retry-After as the least pause), anything else as a defect with its stack but without its message and values,
        which may be a Secret's. NotLeading is not logged: the process is about to end. Cancelling `run` cancels the
        calls under way.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(work), name=f"worker {number}")

    def oldest_wait(self) -> float:
        """Seconds that the key due longest waits for a worker; for /healthz."""
        return self._schedule.oldest_wait(_now())

    def depth(self) -> int:
        """Keys that wait for a worker now."""
        return self._schedule.depth(_now())

    def failing(self) -> int:
        """Keys whose last call failed."""
        return self._schedule.failing()

    def hot(self) -> tuple[K, ...]:
        """Keys that were worked on 30 times or more in the last minute."""
        return self._schedule.hot(_now())

    async def _work(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        while True:
            key = await self._take()
            try:
                again_after = await work(key)
            except KubeError as error:
                self._schedule.failed(key, _now(), error.retry_after)
                if not isinstance(error, NotLeading):
                    log.warning("%s: %s", key, error)
            except Exception as error:
                self._schedule.failed(key, _now())
                log.error("%s: %s", key, _stack(error))
            else:
                self._schedule.done(key, _now(), again_after)
            self._stirred.set()

    async def _take(self) -> K:
        while (key := self._schedule.take(_now())) is None:
            self._stirred.clear()
            await self._until(self._schedule.next_due())
        return key

    async def _until(self, due: float | None) -> None:
        """Until something is due or something came in. All idle workers wake up for it, and all but one sleep on."""
        try:
            async with asyncio.timeout_at(due):
                await self._stirred.wait()
        except TimeoutError:
            return


def _now() -> float:
    return asyncio.get_running_loop().time()


def _stack(error: BaseException) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"a defect, {type(error).__name__} (message withheld)\n{frames}"
