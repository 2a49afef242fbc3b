"""What all client connections of the serving port share: the gateway behind it, limits, counts, and who is inside."""

import itertools
import os
from collections.abc import Callable
from typing import Protocol

from llm_gateway.drive import Clock
from llm_gateway.runtime import Gateway
from llm_gateway.server.responses import HeadWriter
from llm_gateway.server.stock import StockHandler
from llm_gateway_config import Server as Limits


class Stream(Protocol):
    """The writing half of a connection."""

    def heartbeat(self, now: float, interval: float) -> None: ...


class Guest(Stream, Protocol):
    """A connection, as those see it who watch over all of them."""

    def expire(self, now: float, header_timeout: float, keep_alive_timeout: float) -> None: ...

    def interrupt(self, error: Exception) -> None: ...

    @property
    def occupied(self) -> bool: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Door:
    """`draining`: every answer from now on is the last of its connection. `ready`: what readiness probes are told."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.clock: Clock = gateway.clock
        self.report = gateway.report
        self.heads = HeadWriter()
        self.draining = False
        self.ready = False
        self.connections: set[Guest] = set()
        self.busy: set[Guest] = set()
        self.streams: set[Stream] = set()
        self.left: Callable[[], None] = (
            _nobody_waits  # called when a connection, or while draining a request, ends
        )
        self.stock_handler: Callable[[], StockHandler]  # makes aiohttp's part of one connection
        self._ids = itertools.count(1)
        self._id_prefix = f"req_{os.urandom(6).hex()}"

    @property
    def limits(self) -> Limits:
        return self.gateway.limits

    def new_request_id(self) -> str:
        return f"{self._id_prefix}{next(self._ids):08x}"

    def admit(self, guest: Guest) -> bool:
        """Whether there is room for one more."""
        if len(self.connections) >= self.limits.max_connections:
            return False
        self.connections.add(guest)
        self.gateway.instruments.open_connections.inc()
        return True

    def release(self, guest: Guest) -> None:
        if guest in self.connections:
            self.connections.remove(guest)
            self.gateway.instruments.open_connections.inc(-1)
            self.left()

    def began(self, guest: Guest) -> None:
        self.busy.add(guest)

    def streams_to(self, guest: Stream) -> None:
        if guest not in self.streams:
            self.streams.add(guest)
            self.gateway.instruments.open_streams.inc()

    def ended(self, guest: Guest) -> None:
        self.busy.discard(guest)
        if guest in self.streams:
            self.streams.remove(guest)
            self.gateway.instruments.open_streams.inc(-1)
        if self.draining:
            self.left()


def _nobody_waits() -> None:
    return None
