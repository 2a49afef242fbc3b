"""An event loop whose clock jumps: where a test would wait for a timer, no time passes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Only for code that waits for timers alone: what comes from a socket, thread or child is not waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0

    def time(self) -> float:
        return self._jumped

    def _run_once(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not self._ready:  # type: ignore[attr-defined]
            # Cancelled ones are still in there.
            next_one = min((timer.when() for timer in timers if not timer.cancelled()), default=self._jumped)
            self._jumped = max(self._jumped, next_one)
        super()._run_once()  # type: ignore[misc]


def run(main: Coroutine[Any, Any, T]) -> T:
    """`main` from the moment 0.0 to its end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
