"""Coroutines of the request path, run without sockets: a clock that tests set, a loop that tests turn."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from llm_gateway.drive import Clock, Drive, Signal

T = TypeVar("T")


class TurnedLoop:
    """Keeps timers until a test runs them; all that a `Clock` asks of a loop but tasks."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> "Timer":
        timer = Timer(delay, callback, arguments)
        self.timers.append(timer)
        return timer

    def turn(self) -> None:
        """Run every timer that is set now and not cancelled."""
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.cancelled:
                timer.callback(*timer.arguments)


class Timer:
    def __init__(self, delay: float, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.delay = delay
        self.callback = callback
        self.arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class SetClock(Clock):
    """A clock whose time is `time`, in seconds; it moves only when a test moves it.

    Without a loop it has a `TurnedLoop`, whose `turn` is a tick once the clock is started.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, time: float = 1000.0) -> None:
        self.turned = TurnedLoop()
        super().__init__(loop or cast(asyncio.AbstractEventLoop, self.turned))
        self.time = time
        self.now = lambda: self.time

    def tick(self, seconds: float = 0.0) -> None:
        """Let `seconds` pass and sweep once."""
        self.time += seconds
        self.turned.turn()


class Driven(Generic[T]):
    """One coroutine in a `Drive`, started at once. `ends`: what `done` was told, each time."""

    def __init__(self, coroutine: Coroutine[Signal, None, T]) -> None:
        self.ends: list[BaseException | None] = []
        self._values: list[T] = []
        self._over = asyncio.Event()
        self.drive = Drive(self._run(coroutine), self._done)
        self.drive.resume()

    def _done(self, error: BaseException | None) -> None:
        self.ends.append(error)
        self._over.set()

    async def end(self, limit: float = 20.0) -> None:
        """Wait for it on a real loop, at most `limit` seconds."""
        async with asyncio.timeout(limit):
            await self._over.wait()

    async def _run(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._values.append(await coroutine)

    @property
    def ended(self) -> bool:
        return bool(self.ends)

    @property
    def error(self) -> BaseException | None:
        assert len(self.ends) == 1, self.ends
        return self.ends[0]

    @property
    def value(self) -> T:
        """What the coroutine returned; its exception is raised."""
        if self.error is not None:
            raise self.error
        return self._values[0]
