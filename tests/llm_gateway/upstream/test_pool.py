"""Idle connections: the latest first, none for too long, none of an origin that nobody names any more."""

import asyncio
from collections.abc import Callable

import pytest

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.upstream.connection import UpstreamConnection
from llm_gateway.upstream.pool import IDLE_LIMIT, Pool
from llm_gateway_testing.driven import Driven, SetClock
from llm_gateway_testing.transport import FakeTransport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Connector:
    """Connects to fake transports; `fails` raises instead, after the connection was made."""

    def __init__(self) -> None:
        self.transports: list[FakeTransport] = []
        self.asked: list[float] = []
        self.fails: Callable[[], BaseException] | None = None

    async def connect(self, connection: UpstreamConnection, until: float) -> None:
        self.asked.append(until)
        transport = FakeTransport(connection)
        self.transports.append(transport)
        transport.connect()
        if self.fails is not None:
            raise self.fails()


class Pooled:
    def __init__(self) -> None:
        self.clock = SetClock()
        self.connector = Connector()
        self.pool = Pool(self.clock, self.connector)

    def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        return Driven(self.pool.acquire(self.clock.time + 5, fresh=fresh)).value

    def transport(self, connection: UpstreamConnection) -> FakeTransport:
        return next(each for each in self.connector.transports if each.get_protocol() is connection)

    def serve(self, connection: UpstreamConnection) -> None:
        """One request and its whole answer."""
        connection.send(b"request")
        self.transport(connection).feed(ANSWER)
        assert Driven(connection.read(self.clock.time + 5)).value == b"ok"
        connection.release()

    def idle(self, count: int, apart: float = 1.0) -> list[UpstreamConnection]:
        """So many idle connections, given back in this order."""
        connections = [self.acquire(fresh=True) for _ in range(count)]
        for connection in connections:
            self.serve(connection)
            self.clock.time += apart
        return connections


@pytest.fixture
async def pooled() -> Pooled:
    return Pooled()


def test_an_empty_pool_connects(pooled: Pooled) -> None:
    connection = pooled.acquire()
    assert pooled.connector.asked == [pooled.clock.time + 5]
    assert not connection.used


def test_a_connection_in_use_is_not_handed_out_again(pooled: Pooled) -> None:
    assert pooled.acquire() is not pooled.acquire()


def test_an_idle_connection_is_used_again(pooled: Pooled) -> None:
    connection = pooled.acquire()
    pooled.serve(connection)
    assert pooled.acquire() is connection
    assert len(pooled.connector.transports) == 1


def test_the_latest_comes_first(pooled: Pooled) -> None:
    first, second, third = pooled.idle(3)
    assert pooled.acquire() is third
    pooled.serve(third)
    assert [pooled.acquire() for _ in range(3)] == [third, second, first]


def test_a_fresh_connection_is_a_new_one_and_leaves_the_idle_ones(pooled: Pooled) -> None:
    (idle,) = pooled.idle(1)
    fresh = pooled.acquire(fresh=True)
    assert fresh is not idle
    assert not fresh.used
    assert pooled.acquire() is idle


async def test_a_connection_that_closes_while_idle_is_not_handed_out(pooled: Pooled) -> None:
    first, second = pooled.idle(2)
    pooled.transport(second).lose()
    assert pooled.acquire() is first


async def test_a_connection_that_was_cut_is_not_kept(pooled: Pooled) -> None:
    connection = pooled.acquire()
    connection.send(b"request")
    pooled.transport(connection).feed(ANSWER[:-1])
    connection.abort()
    await asyncio.sleep(0)
    assert pooled.acquire() is not connection


# Time.


async def test_a_connection_idle_for_too_long_is_closed_not_used(pooled: Pooled) -> None:
    (connection,) = pooled.idle(1, apart=0.0)
    pooled.clock.time += IDLE_LIMIT - 0.001
    pooled.pool.prune(pooled.clock.time)
    assert not pooled.transport(connection).closing
    pooled.clock.time += 0.001
    assert pooled.acquire() is not connection
    assert pooled.transport(connection).aborted


async def test_pruning_closes_the_oldest_and_keeps_the_rest(pooled: Pooled) -> None:
    connections = pooled.idle(3, apart=10.0)
    pooled.clock.time += IDLE_LIMIT - 20.0
    pooled.pool.prune(pooled.clock.time)
    assert [pooled.transport(each).aborted for each in connections] == [True, True, False]
    await asyncio.sleep(0)
    assert pooled.acquire() is connections[2]


async def test_use_makes_a_connection_young_again(pooled: Pooled) -> None:
    old, busy = pooled.idle(2, apart=0.0)
    pooled.clock.time += IDLE_LIMIT - 1.0
    assert pooled.acquire() is busy
    pooled.serve(busy)
    pooled.clock.time += 1.0
    pooled.pool.prune(pooled.clock.time)
    assert pooled.transport(old).aborted
    assert pooled.acquire() is busy


# The end of an origin.


async def test_a_retired_pool_closes_what_is_idle_and_keeps_nothing(pooled: Pooled) -> None:
    busy = pooled.acquire()
    (idle,) = pooled.idle(1)
    pooled.pool.retire()
    assert pooled.transport(idle).aborted
    assert not pooled.transport(busy).closing, "a request in flight ends as it began"
    pooled.serve(busy)
    assert pooled.transport(busy).aborted


async def test_a_request_that_began_before_still_gets_a_connection(pooled: Pooled) -> None:
    pooled.pool.retire()
    connection = pooled.acquire()
    pooled.serve(connection)
    assert pooled.transport(connection).aborted
    await asyncio.sleep(0)
    assert pooled.acquire() is not connection


# Errors.


class Left(Exception):
    """The client of the request that was connecting has left."""


FAILURES: dict[str, Callable[[], BaseException]] = {
    "no connection": lambda: UpstreamFailure(FailureKind.connect, "could not connect"),
    "the request was thrown out just as it was connected": Left,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_connection_that_nobody_got_is_closed(
    pooled: Pooled, failure: Callable[[], BaseException]
) -> None:
    pooled.connector.fails = failure
    driven = Driven(pooled.pool.acquire(pooled.clock.time + 5))
    assert type(driven.error) is type(failure())
    (transport,) = pooled.connector.transports
    assert transport.aborted
