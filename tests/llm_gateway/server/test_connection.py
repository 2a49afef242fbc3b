"""A client's connection on a fake transport, before a real server and the mock provider."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from llm_gateway.server.answers import HEARTBEAT
from llm_gateway.server.connection import QUEUE_LIMIT
from llm_gateway_testing.client import Answer, chat_body, request
from llm_gateway_testing.inprocess import FakeClient, InProcess

DOCUMENT = """
server: {max_request_body_size: 200KB, max_header_size: 8KB, max_connections: 4, cors: {allow_origins: ["*"]}}
providers:
  mock:
    type: mock
    models: [echo, fault-silence, fault-status-400, fault-status-429-retry-7, slow-50ms,
             {name: long, mock: {answer_tokens: 20000}}]
"""
GET_MODELS = b"GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n"


@pytest.fixture
async def process() -> InProcess:
    return InProcess(DOCUMENT)


@pytest.fixture
async def client(process: InProcess) -> FakeClient:
    return process.connect()


def says(text: str, headers: bytes = b"", **fields: object) -> bytes:
    """A request whose answer is `text`."""
    return request(chat_body("echo", messages=[{"role": "user", "content": text}], **fields), headers)


def outcomes(process: InProcess) -> list[tuple[str, str, int]]:
    return [(record.status, record.code, record.http_status) for record in process.records]


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Byte by byte, and cut in two at every place."""
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


# One request.


SHAPES: dict[str, bytes] = {
    "the hot shape": says("hello"),
    "a browser's, which aiohttp reads": says("hello", b"Origin: https://app.example.com\r\n"),
    "chunked, which aiohttp reads": (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (
            len(chat_body("echo", messages=[{"role": "user", "content": "hello"}])),
            chat_body("echo", messages=[{"role": "user", "content": "hello"}]),
        )
    ),
    "an old path, which aiohttp reads": says("hello").replace(b"completions ", b"completions?api-version=1 "),
}


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES)
async def test_a_request_is_the_same_wherever_it_is_split(process: InProcess, data: bytes) -> None:
    client = process.connect()
    for number, pieces in enumerate(splits(data), 1):
        await client.feed_slowly(pieces)
        answer = await client.answer()
        assert (answer.status, answer.text) == (200, "hello"), pieces
        assert len(process.records) == number
    assert len(process.door.connections) == 1
    assert not process.reported


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES)
async def test_two_requests_in_one_piece_are_two_wherever_they_are_split(
    process: InProcess, data: bytes
) -> None:
    client = process.connect()
    other = says("second")
    for pieces in splits(data + other):
        await client.feed_slowly(pieces)
        assert [(await client.answer()).text for _ in range(2)] == ["hello", "second"], pieces


async def test_a_stream_is_chunked_and_the_connection_stays(client: FakeClient) -> None:
    client.feed(says("hello there", stream=True))
    answer = await client.answer()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "connection" not in answer.headers
    assert (answer.text, answer.done) == ("hello there", True)
    client.feed(says("again"))
    assert (await client.answer()).text == "again"


async def test_the_request_id_of_the_client_is_answered_and_ours_are_all_different(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(says("a", b"X-Request-ID: mine-1\r\n"), says("b"), says("c"))
    ids = [(await client.answer()).request_id for _ in range(3)]
    assert ids[0] == "mine-1"
    assert len(set(ids)) == 3
    assert [record.request_id for record in process.records] == ids
    assert {record.client for record in process.records} == {"192.0.2.7"}


# Pipelining.


async def test_answers_come_in_the_order_of_the_requests(process: InProcess, client: FakeClient) -> None:
    slow = request(chat_body("slow-50ms", stream=True))
    client.feed(slow + says("a") + says("b", stream=True), says("c") + slow, says("d"))
    answers = [await client.answer() for _ in range(6)]
    assert [answer.text for answer in answers[1:4] + answers[5:]] == ["a", "b", "c", "d"]
    assert answers[0].done
    assert answers[4].done
    assert [record.model for record in process.records] == [
        "slow-50ms",
        "echo",
        "echo",
        "echo",
        "slow-50ms",
        "echo",
    ]


async def test_hot_and_other_requests_on_one_connection_are_answered_in_order(client: FakeClient) -> None:
    client.feed(says("a") + GET_MODELS + says("b") + GET_MODELS + says("c", stream=True))
    answers = [await client.answer() for _ in range(5)]
    assert [answer.text for answer in answers[::2]] == ["a", "b", "c"]
    assert all("echo" in str(answer.json) for answer in answers[1::2])


async def test_an_error_does_not_end_the_line(client: FakeClient) -> None:
    client.feed(request(chat_body("unknown")) + request(b"no json") + says("after"))
    assert [(await client.answer()).status for _ in range(2)] == [404, 400]
    assert (await client.answer()).text == "after"


async def test_nothing_is_answered_after_the_last_answer_of_a_connection(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(request(chat_body("slow-50ms")) + says("never"))
    process.door.draining = True
    assert (await client.answer()).headers["connection"] == "close"
    await client.closed()
    assert client.transport.written.count(b"HTTP/1.1 ") == 1
    assert len(process.records) == 1


async def test_a_client_that_sends_many_requests_is_not_read_from_meanwhile(client: FakeClient) -> None:
    """Neither while one of them is answered nor while enough of them wait."""
    piece = says("x" * 1000)
    client.feed(request(chat_body("slow-50ms")))
    sent = 1
    while not client.transport.paused:
        client.feed(piece)
        sent += 1
    assert QUEUE_LIMIT < (sent - 1) * len(piece) <= QUEUE_LIMIT + len(piece)
    for _ in range(sent):
        assert (await client.answer()).status == 200
    assert not client.transport.paused
    client.feed(says("after"))
    assert (await client.answer()).text == "after"


async def test_requests_that_are_refused_at_once_wait_their_turn_too(client: FakeClient) -> None:
    """An answer that takes no time must not let what waits behind it grow without bound."""
    piece = request(chat_body("nope")) * 10
    sent = 0
    while not client.transport.paused and sent * len(piece) < 4 * QUEUE_LIMIT:
        client.feed(piece)
        sent += 1
    assert client.transport.paused
    for _ in range(sent * 10):
        assert (await client.answer()).status == 404
    assert not client.transport.paused


async def test_a_client_that_reads_no_answers_gets_no_further_ones(client: FakeClient) -> None:
    client.connection.pause_writing()
    client.feed(says("one") + says("two"))
    assert (await client.answer()).text == "one"
    await client.settled()
    assert client.transport.written.count(b"HTTP/1.1 200") == 1
    client.connection.resume_writing()
    assert (await client.answer()).text == "two"


@pytest.mark.parametrize("first", [GET_MODELS, says("one", b"Origin: https://app.example.com\r\n")])
async def test_nor_does_one_that_aiohttp_reads_for(client: FakeClient, first: bytes) -> None:
    client.feed(first)
    await client.answer()
    client.connection.pause_writing()
    client.feed(GET_MODELS * 3)
    await client.settled(20)
    # One answer may be out since the pause; those behind it wait.
    assert client.transport.written.count(b"HTTP/1.1 200") <= 2
    client.connection.resume_writing()
    for _ in range(3):
        assert (await client.answer()).status == 200


async def test_what_waits_stays_bounded_when_a_client_never_stops_sending(
    process: InProcess, client: FakeClient
) -> None:
    """Each answer makes room for as much as it took away, not for another read of the socket's size."""
    one = says("x")
    piece = one * 100
    waiting = most = 0
    client.feed(request(chat_body("slow-50ms")))
    for _ in range(500):
        while not client.transport.paused:
            client.feed(piece)
            waiting += len(piece)
            most = max(most, waiting)
        await client.answer()
        waiting -= len(one)
    assert QUEUE_LIMIT < most <= QUEUE_LIMIT + 2 * len(piece)


async def test_a_large_request_that_waits_is_read_to_its_end(client: FakeClient) -> None:
    """It alone is more than may wait: reading goes on once it is its turn."""
    large = says("x" * (2 * QUEUE_LIMIT))
    client.feed(request(chat_body("slow-50ms")), large[: QUEUE_LIMIT + 1])
    assert client.transport.paused
    assert (await client.answer()).status == 200
    await client.reading()
    client.feed(large[QUEUE_LIMIT + 1 :])
    assert len((await client.answer()).text) == 2 * QUEUE_LIMIT


async def test_a_large_request_that_waits_and_is_no_hot_shape_is_read_to_its_end(client: FakeClient) -> None:
    large = says("x" * (2 * QUEUE_LIMIT), b"Origin: https://app.example.com\r\n")
    client.feed(request(chat_body("slow-50ms")), large[: QUEUE_LIMIT + 1])
    assert client.transport.paused
    assert (await client.answer()).status == 200
    await client.reading()
    client.feed(large[QUEUE_LIMIT + 1 :])
    assert len((await client.answer()).text) == 2 * QUEUE_LIMIT


# Pages of other origins.

ORIGINS = ["https://app.example.com", "null", "http://x→y", "é", "\udc80"]


@pytest.mark.parametrize("origin", ORIGINS, ids=ascii)
@pytest.mark.parametrize("data", [says("hello"), GET_MODELS], ids=["chat", "models"])
async def test_where_all_origins_are_allowed_any_spelling_is(
    process: InProcess, client: FakeClient, origin: str, data: bytes
) -> None:
    line = b"Origin: %b\r\nHost:" % origin.encode("utf-8", "surrogateescape")
    client.feed(data.replace(b"Host:", line, 1))
    answer = await client.answer()
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert not process.reported


# HTTP/1.0 and the last answer of a connection.


def old(data: bytes) -> bytes:
    return data.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")


async def test_a_stream_to_an_http_1_0_client_has_no_chunks_and_ends_with_the_connection(
    client: FakeClient,
) -> None:
    client.feed(old(says("hello there", stream=True)))
    await client.closed()
    answer = await client.answer()
    assert "transfer-encoding" not in answer.headers
    assert "content-length" not in answer.headers
    assert answer.headers["connection"] == "close"
    assert answer.body.startswith(b"data: {")
    assert (answer.text, answer.done) == ("hello there", True)


async def test_a_whole_answer_to_an_http_1_0_client_has_a_length_and_is_the_last(client: FakeClient) -> None:
    client.feed(old(says("hello")))
    answer = await client.answer()
    assert answer.headers["connection"] == "close"
    assert answer.text == "hello"
    await client.closed()


async def test_connection_close_is_obeyed(client: FakeClient) -> None:
    client.feed(says("hello", b"Connection: close\r\n", stream=True))
    answer = await client.answer()
    assert answer.headers["connection"] == "close"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.done
    await client.closed()


# Limits.


async def test_a_body_that_is_too_large_is_refused_before_it_comes(client: FakeClient) -> None:
    client.feed(says("x" * 200_000)[:500])
    answer = await client.answer()
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert client.transport.ended_writing


async def test_a_head_that_is_too_long_is_refused(client: FakeClient) -> None:
    client.feed(says("x", b"X-Long: " + b"x" * 8000 + b"\r\n")[:8200])
    answer = await client.answer()
    assert answer.status in (400, 431)
    assert answer.error["type"] == "invalid_request_error"


async def test_one_connection_too_many_is_told_logged_and_counted(process: InProcess) -> None:
    for _ in range(4):
        process.connect()
    answer = await process.connect().answer()
    assert outcomes(process) == [("error", "server_error", 503)]
    (record,) = process.records
    assert (record.request_id, record.client) == (answer.request_id, "192.0.2.7")
    assert (record.error, record.attempts) == (answer.error["message"], 0)
    assert process.instruments.requests.child("none", "unknown", "error", "server_error").value == 1


async def test_one_connection_too_many_takes_no_place(process: InProcess) -> None:
    clients = [process.connect() for _ in range(4)]
    refused = process.connect()
    answer = await refused.answer()
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert process.instruments.open_connections.value == 4
    refused.feed(says("ignored"))
    refused.transport.lose()
    assert process.instruments.open_connections.value == 4
    clients[0].transport.lose()
    admitted = process.connect()
    admitted.feed(says("welcome"))
    assert (await admitted.answer()).text == "welcome"


# Time.

HEADER_TIMEOUT, KEEP_ALIVE = 30.0, 75.0


def pass_time(process: InProcess, client: FakeClient, seconds: float) -> None:
    process.clock.time += seconds  # type: ignore[attr-defined]  # a SetClock
    client.connection.expire(process.clock.now(), HEADER_TIMEOUT, KEEP_ALIVE)


async def test_an_idle_connection_is_closed_after_the_keep_alive_time(
    process: InProcess, client: FakeClient
) -> None:
    pass_time(process, client, KEEP_ALIVE)
    assert not client.transport.closing
    pass_time(process, client, 0.1)
    await client.closed()
    assert client.transport.written == b""


@pytest.mark.parametrize("first", [says("a"), GET_MODELS], ids=["hot", "aiohttp"])
async def test_the_keep_alive_time_counts_from_the_last_answer(
    process: InProcess, client: FakeClient, first: bytes
) -> None:
    for _ in range(3):
        pass_time(process, client, KEEP_ALIVE - 1)
        client.feed(first)
        await client.answer()
        await client.settled()
    pass_time(process, client, KEEP_ALIVE - 1)
    assert not client.transport.closing
    pass_time(process, client, 1.1)
    await client.closed()


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["kept", "the last one"])
@pytest.mark.parametrize("other", [b"", b"Origin: https://app.example.com\r\n"], ids=["hot", "aiohttp"])
async def test_a_client_that_does_not_take_its_answer_is_idle_too_and_frees_its_place(
    process: InProcess, client: FakeClient, last: bytes, other: bytes
) -> None:
    client.transport.unsent = 1000
    client.feed(says("hello", last + other))
    await client.answer()
    await client.settled()
    pass_time(process, client, KEEP_ALIVE)
    assert process.instruments.open_connections.value == 1
    pass_time(process, client, 0.1)
    await client.closed()
    assert process.instruments.open_connections.value == 0


PARTS: dict[str, bytes] = {
    "part of the request line": b"POST /v1/cha",
    "the request line": b"POST /v1/chat/completions HTTP/1.1\r\n",
    "part of the head": says("a")[:80],
    "the head alone": says("a")[: says("a").index(b"\r\n\r\n") + 4],
    "part of the body": says("a")[:-1],
    "part of a head that aiohttp reads": b"GET /v1/models HTTP/1.1\r\nHost",
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
async def test_a_request_that_does_not_become_whole_is_given_up(
    process: InProcess, client: FakeClient, part: bytes
) -> None:
    client.feed(part)
    pass_time(process, client, HEADER_TIMEOUT)
    assert client.transport.written == b""
    pass_time(process, client, 0.1)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert answer.error["code"] == "request_timeout"
    assert client.transport.ended_writing
    for _ in range(5):
        pass_time(process, client, KEEP_ALIVE)
    assert client.transport.written.count(b"HTTP/1.1") == 1, "told once"


@pytest.mark.parametrize("headers", [b"", b"Origin: https://app.example.com\r\n"], ids=["hot", "aiohttp"])
async def test_a_head_that_drips_gets_no_more_time_than_one_that_stops(
    process: InProcess, client: FakeClient, headers: bytes
) -> None:
    data = says("a", headers)
    for at in range(31):
        client.feed(data[at : at + 1])
        pass_time(process, client, 1.0)
    assert client.transport.ended_writing
    assert (await client.answer()).status == 408


async def test_a_body_that_moves_may_take_longer(process: InProcess, client: FakeClient) -> None:
    data = says("hello")
    start = data.index(b"\r\n\r\n") + 4
    client.feed(data[:start])
    for at in range(start, len(data)):
        pass_time(process, client, HEADER_TIMEOUT - 1)
        client.feed(data[at : at + 1])
    assert (await client.answer()).text == "hello"


async def test_time_does_not_end_a_request_that_is_being_answered(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(request(chat_body("fault-silence", stream=True)), says("waits"))
    pass_time(process, client, 10 * KEEP_ALIVE)
    assert not client.transport.closing
    assert client.transport.written == b""


async def test_time_does_not_end_a_request_of_aiohttp_that_is_being_answered(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(request(chat_body("slow-50ms"), b"Origin: https://app.example.com\r\n"))
    await client.settled()
    pass_time(process, client, 10 * KEEP_ALIVE)
    assert (await client.answer()).status == 200


# Heartbeats.


def beat(process: InProcess, client: FakeClient, seconds: float) -> None:
    process.clock.time += seconds  # type: ignore[attr-defined]  # a SetClock
    client.connection.heartbeat(process.clock.now(), 15.0)


async def test_a_silent_stream_gets_its_head_and_comments(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("fault-silence", stream=True)))
    beat(process, client, 14.9)
    assert client.transport.written == b""
    beat(process, client, 0.1)
    beat(process, client, 14.9)
    beat(process, client, 0.1)
    head, _, body = client.transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"%x\r\n%b\r\n" % (len(HEARTBEAT), HEARTBEAT) * 2


async def test_an_error_after_a_heartbeat_is_an_event(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("fault-silence", stream=True)))
    beat(process, client, 15.0)
    process.clock.time += 600.0  # type: ignore[attr-defined]  # a SetClock
    for signal in list(process.clock.waiting):
        signal.fire()
    answer = await client.answer()
    assert answer.status == 200
    assert answer.error["type"] == "provider_error"
    assert not answer.done
    (record,) = process.records
    assert (record.status, record.code, record.http_status) == ("error", "provider_timeout", 200)
    assert record.interrupted is None, "no content had come"


async def test_only_streams_that_are_silent_and_keep_up_get_comments(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(request(chat_body("fault-silence")))
    beat(process, client, 100.0)
    assert client.transport.written == b""
    other = process.connect()
    other.feed(request(chat_body("fault-silence", stream=True)))
    other.connection.pause_writing()
    beat(process, other, 100.0)
    assert other.transport.written == b""
    other.connection.resume_writing()
    beat(process, other, 0.0)
    assert HEARTBEAT in other.transport.written
    idle = process.connect()
    idle.feed(says("a", stream=True))
    await idle.answer()
    written = idle.transport.written
    beat(process, idle, 100.0)
    assert idle.transport.written == written


# Clients that leave, clients that are slow.


async def test_a_client_that_leaves_while_its_answer_is_made(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("fault-silence", stream=True)))
    assert process.instruments.open_streams.value == 1
    client.transport.lose(ConnectionResetError())
    assert outcomes(process) == [("client_error", "client_disconnected", 0)]
    assert process.records[0].interrupted is None
    assert process.instruments.open_streams.value == 0
    assert process.instruments.open_connections.value == 0
    assert not process.door.busy
    assert not process.clock.waiting
    assert not process.reported


async def test_a_client_that_leaves_in_the_middle_of_a_stream(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("long", stream=True)))
    await client.written(b"data: ")
    client.connection.pause_writing()
    client.transport.lose()
    assert outcomes(process) == [("client_error", "client_disconnected", 200)]
    assert process.records[0].interrupted == "client"
    usage = process.records[0].usage
    assert usage is not None
    assert usage.estimated


async def test_nothing_is_written_for_a_client_that_has_gone(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("fault-silence")) + says("waits"))
    connection = client.connection
    client.transport.lose()
    before = client.transport.writes[:]
    connection.respond(200, b"application/json", b"{}")
    connection.write(b"data: {}\n\n")
    connection.finish(b"data: [DONE]\n\n")
    connection.go_on()
    connection.close()
    connection.abort()
    await client.settled()
    assert client.transport.writes == before
    assert len(process.records) == 1, "what waited is not begun"


async def test_a_client_that_leaves_a_request_of_aiohttp(process: InProcess, client: FakeClient) -> None:
    client.feed(request(chat_body("fault-silence", stream=True), b"Origin: https://app.example.com\r\n"))
    await client.settled()
    assert process.instruments.open_streams.value == 1
    client.transport.lose()
    await client.settled()
    assert outcomes(process) == [("client_error", "client_disconnected", 0)]
    assert process.instruments.open_streams.value == 0
    assert not process.reported


async def test_a_client_that_leaves_before_its_request_is_whole(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(says("hello")[:-1])
    client.transport.lose()
    assert process.records == []
    assert process.instruments.open_connections.value == 0


async def test_the_upstream_is_not_read_while_the_client_does_not_keep_up(
    process: InProcess, client: FakeClient
) -> None:
    client.feed(request(chat_body("long", stream=True)))
    client.connection.pause_writing()
    await client.written(b"data: ")
    await client.settled(turns=50)
    written = len(client.transport.written)
    await client.settled(turns=50)
    assert len(client.transport.written) == written, "one write before the client was asked"
    assert not process.records
    client.connection.resume_writing()
    answer = await client.answer()
    assert answer.done
    assert len(answer.body) > written


# Answers of upstreams that failed.


async def test_the_headers_of_an_error(client: FakeClient) -> None:
    client.feed(request(chat_body("fault-status-429-retry-7")))
    answer = await client.answer()
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    client.feed(request(chat_body("unknown")))
    answer = await client.answer()
    assert answer.status == 404
    assert "retry-after" not in answer.headers, "nothing is left of the last answer"


# The end of the process.


async def test_draining_ends_idle_connections_and_finishes_the_others(process: InProcess) -> None:
    idle, busy = process.connect(), process.connect()
    busy.feed(request(chat_body("slow-50ms", stream=True)))
    await process.listener.drain(0.0, 10.0)
    assert idle.transport.lost
    answer = await busy.answer()
    assert (answer.headers["connection"], answer.done) == ("close", True)
    assert busy.transport.lost


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
async def test_draining_waits_for_requests_on_their_way_in(
    process: InProcess, data: bytes, part: float
) -> None:
    client = process.connect()
    cut = round(len(data) * part)
    client.feed(data[:cut])
    await client.settled()
    drain = asyncio.create_task(process.listener.drain(0.0, 10.0))
    await client.settled()
    assert not drain.done()
    client.feed(data[cut:])
    answer = await client.answer()
    assert (answer.status, answer.text, answer.headers["connection"]) == (200, "hello", "close")
    await drain
    assert client.transport.lost


async def test_draining_does_not_wait_longer_for_a_request_that_does_not_become_whole(
    process: InProcess,
) -> None:
    client = process.connect()
    client.feed(says("late")[:-1])
    await process.listener.drain(0.0, 0.01)
    assert client.transport.lost
    assert client.transport.written == b""


async def test_what_does_not_end_while_draining_is_ended_with_an_error(process: InProcess) -> None:
    whole, stream = process.connect(), process.connect()
    whole.feed(request(chat_body("fault-silence")))
    stream.feed(request(chat_body("fault-silence", stream=True)))
    beat(process, stream, 15.0)
    await process.listener.drain(0.0, 0.01)
    answer = await whole.answer()
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    told: Answer = await stream.answer()
    assert (told.status, told.error["type"], told.done) == (200, "server_error", False)
    assert json.dumps(told.error)
    assert whole.transport.lost
    assert stream.transport.lost
