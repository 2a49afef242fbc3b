"""A deadline that also holds when the event loop hangs: a thread looks at it."""

import threading
from collections.abc import Callable

_LOOK_EVERY = 0.25  # seconds


class Watchdog:
    """Calls `expired` once, from its thread, when `overdue` says so; until `stop`."""

    def __init__(self, overdue: Callable[[], bool], expired: Callable[[], None]) -> None:
        self._overdue = overdue
        self._expired = expired
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Afterwards `expired` is not called any more."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY):
            if self._overdue():
                self._expired()
                return
