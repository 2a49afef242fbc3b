"""Waiting for what a cluster does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT = 60.0  # seconds: a bound for a loaded machine, not an expectation
PAUSE = 0.05  # seconds between two looks


def eventually(what: str, probe: Callable[[], T | None], limit: float = LIMIT) -> T:
    """The first answer of `probe` that is true. Raises AssertionError with the last one after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {limit:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(PAUSE)
    return answer
