"""Coroutines that sockets drive, without tasks.

A request is one coroutine. It waits for few things: bytes of an upstream, room in the client's transport, a moment.
Each is a `Signal`. The callback that brings the news resumes the coroutine on the spot, in the same turn of the
event loop: no task, no future, no timer per request (a task that waits for one future costs 12 to 17 us, a resumed
coroutine under 1 us).

Signals carry no value and may fire for nothing: who waits looks at the state again, as with a condition variable.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

TICK = 0.25  # seconds between two sweeps: how late a deadline may be noticed


class Clock:
    """Fires the signals whose moment has come, in one sweep for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.now: Callable[[], float] = (
            time.monotonic
        )  # finer than uvloop's own time, which has whole milliseconds
        self.waiting: set[Signal] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._jobs: list[Callable[[float], None]] = []

    def every_tick(self, job: Callable[[float], None]) -> None:
        """Call `job(now)` at each sweep; it must be short and must not raise."""
        self._jobs.append(job)

    def start(self) -> None:
        self._timer = self.loop.call_later(TICK, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = self.loop.call_later(TICK, self._sweep)
        now = self.now()
        for signal in [signal for signal in self.waiting if signal.until <= now]:
            signal.fire()
        for job in self._jobs:
            job(now)


class Signal:
    """`signal.until = moment; await signal`: waits for `fire()` or, within a tick, for the moment.

    One coroutine at a time may wait, and only one that a `Drive` runs.
    """

    __slots__ = ("_clock", "drive", "until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.drive: Drive | None = None
        self.until = 0.0

    def __await__(self) -> Generator["Signal", None, None]:
        waiting = self._clock.waiting
        waiting.add(self)
        try:
            yield self
        finally:
            waiting.discard(self)

    def fire(self) -> None:
        drive = self.drive
        if drive is not None:
            self.drive = None
            drive.resume()


class Drive:
    """Runs one coroutine to its end; `done(error)` is called there, with None when it returned."""

    __slots__ = ("_coroutine", "_done", "_pending", "_waiting")

    def __init__(
        self, coroutine: Coroutine[Signal, None, Any], done: Callable[[BaseException | None], None]
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._waiting: Signal | None = None
        self._pending: BaseException | None = None

    def resume(self, error: BaseException | None = None) -> None:
        """Go on until the next wait: the start, or the end of a wait."""
        self._waiting = None
        while True:
            try:
                signal = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration:
                return self._done(None)
            except BaseException as failure:  # handed on: `done` decides what an unexpected error means
                return self._done(failure)
            error, self._pending = self._pending, None
            if error is None:
                self._waiting = signal
                signal.drive = self
                return None

    def throw(self, error: BaseException) -> None:
        """Raise `error` where the coroutine waits; while it runs, at its next wait."""
        signal = self._waiting
        if signal is None:
            self._pending = error
            return
        signal.drive = None
        self.resume(error)


async def as_task(clock: Clock, work: Coroutine[Any, Any, T], until: float) -> T:
    """Run `work`, which needs a task of asyncio, as one; raises TimeoutError when `until` passes first."""
    signal = Signal(clock)
    task = clock.loop.create_task(work)
    task.add_done_callback(lambda _: signal.fire())
    try:
        while not task.done():
            signal.until = until
            await signal
            if not task.done() and clock.now() >= until:
                raise TimeoutError
        return task.result()
    finally:
        task.cancel()
