"""A provider's connection on a fake transport: what comes, in which order, and when it may carry another request."""

import asyncio

import pytest

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.upstream.connection import LINGER, UNREAD_LIMIT, StaleConnection, UpstreamConnection
from llm_gateway.wire.http1 import ResponseHead, chunk
from llm_gateway_testing.driven import Driven, SetClock
from llm_gateway_testing.transport import FakeTransport

REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\n"
END = b"0\r\n\r\n"


class Wire:
    """A connection, its transport, and what became of it. `sent` requests so far: one."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.given_back: list[UpstreamConnection] = []
        self.forgotten: list[UpstreamConnection] = []
        self.connection = UpstreamConnection(self.clock, self.given_back.append, self.forgotten.append)
        self.transport = FakeTransport(self.connection)
        self.transport.connect()
        self.connection.send(REQUEST)

    @property
    def soon(self) -> float:
        return self.clock.time + 1

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.transport.feed(piece)

    def head(self) -> Driven[ResponseHead | None]:
        return Driven(self.connection.head(self.soon))

    def read(self) -> Driven[bytes | None]:
        return Driven(self.connection.read(self.soon))

    def answered(self, answer: bytes) -> None:
        """One whole answer, read and released."""
        self.feed(answer)
        assert self.head().value is not None
        while self.read().value:
            pass
        self.connection.release()


@pytest.fixture
async def wire() -> Wire:
    return Wire()


def kind(driven: Driven[ResponseHead | None] | Driven[bytes | None]) -> FailureKind:
    assert isinstance(driven.error, UpstreamFailure), driven.error
    return driven.error.kind


# Head and body.


def test_a_request_is_one_write(wire: Wire) -> None:
    assert wire.transport.writes == [REQUEST]


ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "of a length": (LENGTH % 5 + b"hello", b"hello"),
    "without a body": (LENGTH % 0, b""),
    "in chunks": (CHUNKED + chunk(b"hel") + chunk(b"lo") + END, b"hello"),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH % 2 + b"ok", b"ok"),
}


@pytest.mark.parametrize(("answer", "body"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_the_same_wherever_it_is_split(answer: bytes, body: bytes) -> None:
    splits = [[answer], [answer[at : at + 1] for at in range(len(answer))]]
    splits += [[answer[:at], answer[at:]] for at in range(1, len(answer))]
    for pieces in splits:
        wire = Wire()
        head = wire.head()
        wire.feed(*pieces)
        assert head.value is not None
        assert head.value.status == 200
        read = b""
        while part := wire.read().value:
            read += part
        assert read == body
        wire.connection.release()
        assert wire.given_back == [wire.connection]


def test_a_wait_for_the_body_ends_with_its_first_bytes(wire: Wire) -> None:
    wire.feed(CHUNKED)
    read = wire.read()
    assert not read.ended
    wire.feed(b"5\r\n")
    assert not read.ended
    wire.feed(b"he")
    assert read.value == b"he"


def test_what_came_meanwhile_is_read_in_one_piece(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"a"), chunk(b"b"), chunk(b"c"))
    assert wire.read().value == b"abc"


def test_the_end_can_be_read_again(wire: Wire) -> None:
    wire.feed(LENGTH % 2 + b"ok")
    assert [wire.read().value for _ in range(3)] == [b"ok", b"", b""]


def test_the_framing_is_kept_where_one_read_brought_whole_chunks(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"a"))
    assert wire.read().value == b"a"
    assert wire.connection.framed == chunk(b"a")
    wire.feed(chunk(b"b") + chunk(b"c"))
    assert wire.read().value == b"bc"
    assert wire.connection.framed == chunk(b"b") + chunk(b"c")
    wire.feed(chunk(b"d"), chunk(b"e"))
    assert wire.read().value == b"de"
    assert wire.connection.framed is None, "two reads"
    wire.feed(b"2\r\nfg")
    assert wire.read().value == b"fg"
    assert wire.connection.framed is None, "half a chunk"


# Time.


def test_a_wait_ends_with_none_when_its_moment_comes(wire: Wire) -> None:
    wire.clock.start()
    head = wire.head()
    wire.clock.tick(1.0)
    assert head.value is None
    wire.feed(LENGTH % 5)
    read = wire.read()
    wire.clock.tick(1.0)
    assert read.value is None
    wire.feed(b"hello")
    assert wire.read().value == b"hello", "the answer may still come"


def test_what_is_there_is_read_even_when_the_moment_has_passed(wire: Wire) -> None:
    wire.feed(LENGTH % 5 + b"hello")
    assert Driven(wire.connection.head(0.0)).value is not None
    assert Driven(wire.connection.read(0.0)).value == b"hello"


# Ends.


def test_a_new_connection_that_closes_before_its_answer_was_reset(wire: Wire) -> None:
    head = wire.head()
    wire.transport.lose()
    assert kind(head) is FailureKind.reset


def test_a_used_connection_that_closes_before_its_answer_was_stale(wire: Wire) -> None:
    wire.answered(LENGTH % 2 + b"ok")
    wire.connection.send(REQUEST)
    head = wire.head()
    wire.transport.lose(ConnectionResetError())
    assert isinstance(head.error, StaleConnection)
    assert wire.forgotten == [wire.connection]


def test_a_used_connection_that_closes_late_was_reset(wire: Wire) -> None:
    """The upstream may have been at work on the request."""
    wire.answered(LENGTH % 2 + b"ok")
    wire.connection.send(REQUEST)
    head = wire.head()
    wire.clock.time += 1.5
    wire.transport.lose()
    assert kind(head) is FailureKind.reset


def test_a_used_connection_that_closed_before_the_request_was_stale(wire: Wire) -> None:
    wire.answered(LENGTH % 2 + b"ok")
    wire.transport.lose()
    wire.connection.send(REQUEST)
    assert isinstance(wire.head().error, StaleConnection)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_one_byte_of_an_answer_and_the_connection_was_not_stale(wire: Wire, begun: bytes) -> None:
    """The upstream has seen the request: to send it again could do its work twice."""
    wire.answered(LENGTH % 2 + b"ok")
    wire.connection.send(REQUEST)
    wire.feed(begun)
    wire.transport.lose()
    assert kind(wire.head()) is FailureKind.reset


CUT: dict[str, bytes] = {
    "in a body of a length": LENGTH % 5 + b"hell",
    "in a chunk": CHUNKED + b"5\r\nhell",
    "between chunks": CHUNKED + chunk(b"hell"),
    "before the end of the last chunk": CHUNKED + chunk(b"hell") + b"0\r\n",
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT)
def test_a_body_that_is_cut_is_truncated_after_what_came(wire: Wire, answer: bytes) -> None:
    wire.feed(answer)
    wire.transport.lose()
    assert wire.read().value == b"hell"
    assert kind(wire.read()) is FailureKind.truncated
    wire.connection.release()
    assert not wire.given_back


def test_a_body_without_framing_ends_with_the_connection(wire: Wire) -> None:
    wire.feed(TO_THE_END, b"hel", b"lo")
    assert wire.read().value == b"hello"
    read = wire.read()
    assert not read.ended
    wire.transport.lose()
    assert read.value == b""


MALFORMED: dict[str, bytes] = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an older HTTP": b"HTTP/0.9 200 OK\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 1\r\n" * 6000,
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_head_is_a_bad_answer(wire: Wire, answer: bytes) -> None:
    head = wire.head()
    wire.feed(answer)
    assert kind(head) is FailureKind.bad_answer


async def test_a_malformed_body_is_a_bad_answer_after_what_came(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"a"), b"z\r\n")
    assert wire.read().value == b"a"
    assert kind(wire.read()) is FailureKind.bad_answer
    wire.connection.release()
    assert wire.transport.aborted


async def test_nothing_is_read_into_memory_after_a_failure(wire: Wire) -> None:
    wire.feed(b"SSH-2.0-OpenSSH_9.6\r\n")
    wire.feed(b"more")
    assert wire.transport.aborted


# Back to the pool.


async def test_a_whole_answer_is_given_back_and_carries_the_next(wire: Wire) -> None:
    for number in range(3):
        wire.answered(LENGTH % 2 + b"ok")
        assert wire.given_back == [wire.connection] * (number + 1)
        assert wire.connection.idle_since == wire.clock.time
        wire.clock.time += 1
        wire.connection.send(REQUEST)
    assert not wire.transport.closing


NOT_KEPT: dict[str, bytes] = {
    "the upstream says close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "two framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + END,
    "bytes after a body of a length": LENGTH % 2 + b"ok?",
    "bytes after the last chunk": CHUNKED + chunk(b"ok") + END + b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("answer", NOT_KEPT.values(), ids=NOT_KEPT)
async def test_a_connection_that_cannot_be_kept_is_closed(wire: Wire, answer: bytes) -> None:
    wire.answered(answer)
    assert wire.transport.aborted
    assert not wire.given_back


async def test_an_answer_that_was_not_read_to_its_end_is_not_given_back(wire: Wire) -> None:
    """Its bytes would be the next request's answer, and a reading that was paused for them would stay paused."""
    wire.feed(LENGTH % (2 * UNREAD_LIMIT), b"x" * (2 * UNREAD_LIMIT))
    assert wire.head().value is not None
    assert wire.transport.paused
    wire.connection.release()
    assert wire.transport.aborted
    assert not wire.given_back


async def test_release_without_an_answer_closes(wire: Wire) -> None:
    wire.connection.release()
    assert wire.transport.aborted
    assert not wire.given_back


async def test_unsolicited_bytes_close_an_idle_connection(wire: Wire) -> None:
    wire.answered(LENGTH % 2 + b"ok")
    wire.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert wire.transport.aborted
    await asyncio.sleep(0)
    assert wire.forgotten == [wire.connection]


async def test_bytes_before_the_first_request_close_the_connection() -> None:
    clock = SetClock()
    connection = UpstreamConnection(clock, lambda _: None, lambda _: None)
    transport = FakeTransport(connection)
    transport.connect()
    transport.feed(b"220 mail.example.com ESMTP\r\n")
    assert transport.aborted


async def test_abort_tells_the_pool_once_the_transport_is_gone(wire: Wire) -> None:
    wire.connection.abort()
    assert wire.transport.aborted
    assert not wire.connection.closed
    await asyncio.sleep(0)
    assert wire.connection.closed
    assert wire.forgotten == [wire.connection]
    wire.connection.abort()


# The end of a stream that comes after the last event.


async def test_the_end_of_a_stream_may_come_after_its_request_has_ended(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"data: [DONE]\n\n"))
    assert wire.read().value
    wire.connection.release()
    assert not wire.given_back
    assert [timer.delay for timer in wire.clock.turned.timers] == [LINGER]
    wire.feed(b"0\r")
    assert not wire.given_back
    wire.feed(b"\n\r\n")
    assert wire.given_back == [wire.connection]
    wire.clock.turned.turn()
    assert not wire.transport.aborted, "the timer was cancelled"
    wire.connection.send(REQUEST)
    wire.feed(LENGTH % 2 + b"ok")
    assert wire.read().value == b"ok"


async def test_an_end_that_does_not_come_is_not_waited_for_long(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"data: [DONE]\n\n"))
    assert wire.read().value
    wire.connection.release()
    wire.clock.turned.turn()
    assert wire.transport.aborted
    assert not wire.given_back


LATE: dict[str, bytes] = {
    "more events": chunk(b"data: {}\n\n"),
    "events and the end": chunk(b"data: {}\n\n") + END,
    "the end and more": END + b"HTTP/1.1 200 OK\r\n\r\n",
    "no chunk": b"z\r\n",
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
async def test_anything_else_than_the_end_closes(wire: Wire, late: bytes) -> None:
    wire.feed(CHUNKED, chunk(b"data: [DONE]\n\n"))
    assert wire.read().value
    wire.connection.release()
    wire.feed(late)
    assert wire.transport.aborted
    assert not wire.given_back


async def test_a_connection_that_closes_instead_of_the_end_is_forgotten(wire: Wire) -> None:
    wire.feed(CHUNKED, chunk(b"data: [DONE]\n\n"))
    assert wire.read().value
    wire.connection.release()
    wire.transport.lose()
    assert wire.forgotten == [wire.connection]
    wire.clock.turned.turn()
    assert not wire.given_back


# Backpressure.


def test_unread_bytes_are_bounded(wire: Wire) -> None:
    piece = chunk(b"x" * 1000)
    wire.feed(CHUNKED)
    fed = 0
    while not wire.transport.paused:
        wire.feed(piece)
        fed += 1000
    assert UNREAD_LIMIT < fed <= UNREAD_LIMIT + 1000
    read = wire.read().value
    assert read is not None
    assert len(read) == fed
    assert not wire.transport.paused
    wire.feed(piece)
    assert not wire.transport.paused, "the count began anew"


def test_framing_without_content_is_not_unread(wire: Wire) -> None:
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    wire.feed(b"x")
    assert wire.read().value == b"x"
    assert not wire.transport.paused


async def test_bytes_after_the_end_of_an_answer_do_not_pile_up(wire: Wire) -> None:
    """While a slow client takes the answer, its connection is still busy; no peer may fill the memory then."""
    wire.feed(LENGTH % 2 + b"ok")
    assert wire.read().value == b"ok"
    fed = 0
    while not (wire.transport.paused or wire.transport.aborted) and fed < 4 * UNREAD_LIMIT:
        wire.feed(b"x" * 4096)
        fed += 4096
    assert fed <= UNREAD_LIMIT
