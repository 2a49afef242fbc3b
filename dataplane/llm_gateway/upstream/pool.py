"""Idle connections of one origin, the latest first: it is the likeliest to be alive, and the others may age out."""

from typing import Protocol

from llm_gateway.drive import Clock
from llm_gateway.upstream.connection import UpstreamConnection

# Shorter than the usual keep-alive of servers and load balancers (60 s and more), so that few go stale in our hands.
IDLE_LIMIT = 50.0


class Connector(Protocol):
    async def connect(self, connection: UpstreamConnection, until: float) -> None:
        """Give the connection a transport. Raises UpstreamFailure (connect, or timeout when `until` passed)."""


class Pool:
    """`acquire` hands out a connection; its `release` or `abort` brings it back or ends it."""

    def __init__(self, clock: Clock, connector: Connector) -> None:
        self._clock = clock
        self._connector = connector
        self._idle: list[UpstreamConnection] = []
        self.retired = False

    async def acquire(self, until: float, *, fresh: bool = False) -> UpstreamConnection:
        """An idle connection, or (always, if `fresh`) a new one."""
        self.prune(self._clock.now())
        if self._idle and not fresh:
            return self._idle.pop()
        connection = UpstreamConnection(self._clock, self._keep, self._forget)
        try:
            await self._connector.connect(connection, until)
        except BaseException:
            connection.abort()  # it may be connected by now, when the request was thrown out of its wait
            raise
        return connection

    def prune(self, now: float) -> None:
        """Close what has been idle too long; the oldest lie first."""
        while self._idle and self._idle[0].idle_since + IDLE_LIMIT <= now:
            self._idle.pop(0).abort()

    def retire(self) -> None:
        """No document names this origin any more: requests in flight end as they began, nothing is kept."""
        self.retired = True
        for connection in list(self._idle):
            connection.abort()
        self._idle.clear()

    def _keep(self, connection: UpstreamConnection) -> None:
        if self.retired:
            connection.abort()
        else:
            self._idle.append(connection)

    def _forget(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
