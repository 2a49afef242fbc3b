"""What is not HTTP, or HTTP that two parsers could read differently: refused or closed, and no neighbour notices."""

import gzip
import random
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_gateway_testing.door import (
    BODY,
    CHUNKED,
    GOOD,
    HEAD,
    HOST,
    JSON,
    LENGTH,
    LIMIT,
    LINE,
    PAGE,
    STOCK,
    Neighbour,
    answer_to,
    gateway_with_neighbour,
    is_error,
    well,
)
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.raw_client import Closed, RawClient, chat, framed, request


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Neighbour]]:
    with gateway_with_neighbour(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture(scope="module")
def gateway(door: tuple[RunningGateway, Neighbour]) -> RunningGateway:
    return door[0]


@pytest.fixture(autouse=True)
def undisturbed(door: tuple[RunningGateway, Neighbour]) -> Iterator[None]:
    yield
    gateway, neighbour = door
    assert neighbour.lives(), neighbour.failure
    assert well(gateway)


REFUSED: dict[str, tuple[bytes, int]] = {
    "no length": (LINE + HOST + JSON + b"\r\n" + BODY, 400),
    "two equal lengths": (HEAD + LENGTH + b"\r\n" + BODY, 400),
    "two different lengths": (HEAD + b"Content-Length: 3\r\n\r\n" + BODY, 400),
    "a list of lengths": (LINE + HOST + JSON + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a negative length": (LINE + HOST + JSON + b"Content-Length: -5\r\n\r\n", 400),
    "a length with a sign": (LINE + HOST + JSON + b"Content-Length: +5\r\n\r\nhello", 400),
    "a length in hex": (LINE + HOST + JSON + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a length beyond 64 bits": (LINE + HOST + JSON + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "a length with chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (LINE + HOST + JSON + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "an unknown transfer coding": (LINE + HOST + JSON + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    "a transfer coding in disguise": (LINE + HOST + JSON + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "bare LF everywhere": (GOOD.replace(b"\r\n", b"\n"), 400),
    "bare LF after one header": (GOOD.replace(JSON, JSON.replace(b"\r\n", b"\n")), 400),
    "bare CR in a header": (HEAD + b"X-A: a\rb\r\n\r\n" + BODY, 400),
    "a folded header": (HEAD + b"X-A: a\r\n b\r\n\r\n" + BODY, 400),
    "a header without a colon": (HEAD + b"nonsense\r\n\r\n" + BODY, 400),
    "a blank before the colon": (HEAD + b"X-A : a\r\n\r\n" + BODY, 400),
    "an empty header name": (HEAD + b": a\r\n\r\n" + BODY, 400),
    "NUL in a header": (HEAD + b"X-A: a\0b\r\n\r\n" + BODY, 400),
    "NUL in the request line": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "NUL bytes": (b"\0" * 64 + b"\r\n\r\n", 400),
    "a header of 100 KB": (HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n" + BODY, 400),
    "a request line of 100 KB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "200 headers": (HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n" + BODY, 400),
    "60 KB of headers": (HEAD + b"".join(b"X-%d: %03000d\r\n" % (n, n) for n in range(20)) + b"\r\n" + BODY, 431),
    "HTTP/0.9": (b"GET /health\r\n\r\n", 400),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/3.7": (b"GET /health HTTP/3.7\r\nHost: a\r\n\r\n", 400),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + bytes(200), 400),
    "no chunk size": (CHUNKED + b"\r\nhello\r\n", 400),
    "a chunk size that is none": (CHUNKED + b"xyz\r\nhello\r\n", 400),
    "a chunk longer than its size": (CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n", 400),
    "a chunk size with bare LF": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "a chunk size beyond 64 bits": (CHUNKED + b"f" * 17 + b"\r\nhello", 400),
    "a negative chunk size": (CHUNKED + b"-1\r\nhello\r\n", 400),
    "gzip that is none": (framed(b"hello gzip", Content_Encoding="gzip"), 400),
    "gzip that breaks off": (framed(gzip.compress(BODY * 50)[:-20], Content_Encoding="gzip"), 400),
    "an unknown content coding": (framed(BODY, Content_Encoding="zip"), 415),
    "another content type": (GOOD.replace(b"application/json", b"text/plain"), 415),
    "a form": (GOOD.replace(b"application/json", b"application/x-www-form-urlencoded"), 415),
    "an expectation nobody knows": (framed(BODY, Expect="a-miracle"), 417),
    "a body too large by its length": (framed(b" " * (LIMIT + 1)), 413),
    "a body far too large by its length alone": (LINE + HOST + JSON + b"Content-Length: 999999999999\r\n\r\n", 413),
    "a body too large by its chunks": (CHUNKED + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 20 + b"0\r\n\r\n", 413),
    "a gzip bomb": (framed(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip"), 413),
    "no JSON": (framed(b"hello"), 400),
    "JSON cut off": (framed(BODY[:-1]), 400),
    "JSON and more": (framed(BODY + b"}"), 400),
    "an empty body": (framed(b""), 400),
    "no object": (framed(b'["m"]'), 400),
    "two models": (framed(b'{"model": "m", "messages": [], "model": "breaks"}'), 400),
    "two models, one in disguise": (framed(b'{"model": "m", "messages": [], "mod\\u0065l": "breaks"}'), 400),
    "no model": (framed(b'{"messages": []}'), 400),
    "deep nesting": (framed(b'{"model": "m", "messages": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"), 400),
    "no UTF-8": (framed(b'{"model": "\xff\xfe", "messages": []}'), 400),
    "an unknown path": (b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "an unknown path with a body": (GOOD.replace(b"/chat/completions", b"/nothing"), 404),
    "an unknown model": (request(chat("nothing")), 404),
    "CONNECT": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 404),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_refused_in_the_shape_of_all_errors(
    gateway: RunningGateway, data: bytes, status: int
) -> None:
    upstream_requests = gateway.metric("llm_gateway_upstream_attempts_total")
    answer = answer_to(gateway, data)
    assert answer is not None, "the connection was closed without a word"
    assert is_error(answer, status)
    assert gateway.metric("llm_gateway_upstream_attempts_total") == upstream_requests


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_nothing_behind_a_bad_request_is_taken_for_another(
    gateway: RunningGateway, data: bytes, status: int
) -> None:
    """A request smuggled behind a bad one is either not read at all or was a request of its own."""
    with RawClient(gateway.port) as client:
        client.send(data + b"GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with suppress(Closed):
            answer = client.answer()
            assert is_error(answer, status)
            if answer.headers.get("connection") == "close":
                assert client.rest() == b""
            else:
                assert client.answer().status == 200


# Slow, and given up.


SLOW: dict[str, bytes] = {
    "part of a head": HEAD[:40],
    "part of the request line": LINE[:10],
    "part of another request line": b"GET /hea",
    "part of another head": b"GET /health HTTP/1.1\r\nHost: ",
    "a head that bare LF ends": HEAD + b"\n" + BODY,
    "half a body": GOOD[:-20],
    "half a body in a usual spelling that is not the usual one": GOOD.replace(b"Host", b"Origin: http://a\r\nHost")[:-20],
    "half a chunk": CHUNKED + b"20\r\nhello",
}  # fmt: skip


def test_what_does_not_come_in_time_is_not_waited_for(gateway: RunningGateway) -> None:
    with ExitStack() as stack:
        clients = {name: stack.enter_context(RawClient(gateway.port)) for name in SLOW}
        begun = time.monotonic()
        for name, client in clients.items():
            client.send(SLOW[name])
        for name, client in clients.items():
            answer = client.answer()
            assert time.monotonic() - begun > 0.8, name
            assert is_error(answer, 408), name
            assert answer.headers["connection"] == "close", name
            assert client.rest() == b"", name


@pytest.mark.parametrize(
    "head", [HEAD, b"GET /health HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 100], ids=["hot", "other"]
)
def test_a_head_byte_by_byte_has_one_deadline(gateway: RunningGateway, head: bytes) -> None:
    """Each byte comes well within header_timeout; all of them do not, and the answer comes before the last one."""
    with RawClient(gateway.port) as client:
        sent = 0
        while sent < len(head) and not select.select([client.sock], [], [], 0.1)[0]:
            client.send(head[sent : sent + 1])
            sent += 1
        assert sent < len(head)
        assert is_error(client.answer(), 408)


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW)
def test_a_client_that_leaves_midway_leaves_nothing_behind(gateway: RunningGateway, data: bytes) -> None:
    wait_for("connections to settle", lambda: gateway.metric("llm_gateway_open_connections") == 1)
    answered = len(gateway.requests())
    with RawClient(gateway.port) as client:
        client.send(data)
        wait_for("the connection", lambda: gateway.metric("llm_gateway_open_connections") == 2)
    wait_for("it to be closed", lambda: gateway.metric("llm_gateway_open_connections") == 1)
    assert len(gateway.requests()) == answered


def test_an_error_is_not_lost_while_the_client_still_sends(gateway: RunningGateway) -> None:
    """More than the sockets' buffers hold: to close at once would reset the connection before the answer is read."""
    for data in (framed(b" " * 8_000_000), b"\0" * 8_000_000, CHUNKED + b"7a1200\r\n" + b" " * 8_000_000):
        with RawClient(gateway.port) as client:
            client.send(data)
            time.sleep(0.1)
            client.send(b" " * 100)
            assert client.answer().status in (400, 413)
            assert client.rest() == b""


# Chaos.


def mutations(rng: random.Random, data: bytes) -> bytes:
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(mutated))
        match rng.randrange(4):
            case 0:
                mutated[at] = rng.randrange(256)
            case 1:
                del mutated[at : at + rng.randint(1, 20)]
            case 2:
                mutated[at:at] = rng.choice(
                    [b"\r\n", b"\n", b"\0", b": ", b"\r\n\r\n", b"0\r\n\r\n", b"Content-Length: 7\r\n"]
                )
            case _:
                mutated[at:at] = mutated[rng.randrange(len(mutated)) :][: rng.randint(1, 60)]
        mutated += b"" if mutated else b"x"
    return bytes(mutated)


SEEDS = [
    GOOD,
    STOCK,
    PAGE,
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    GOOD + PAGE,
    request(chat("m", stream=True)),
]
mutated = st.builds(mutations, st.randoms(use_true_random=False), st.sampled_from(SEEDS))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(st.one_of(st.binary(max_size=300), mutated, st.sampled_from(SEEDS)), min_size=1, max_size=4))
def test_no_bytes_at_all_are_unforeseen(gateway: RunningGateway, pieces: list[bytes]) -> None:
    with RawClient(gateway.port) as client, suppress(ConnectionError):
        client.sock.settimeout(0.02)
        for piece in pieces:
            client.send(piece)
            with suppress(TimeoutError):
                while client.sock.recv(65536):
                    pass
    assert well(gateway)


def test_connections_beyond_the_limit_are_told_so(tmp_path: Path) -> None:
    text = "server: {port: 0, metrics_port: 0, max_connections: 4}\nproviders: {mock: {type: mock, models: [echo]}}\n"
    with running(tmp_path, text) as gateway:
        clients = [RawClient(gateway.port) for _ in range(4)]
        wait_for("all to be accepted", lambda: gateway.metric("llm_gateway_open_connections") == 4)
        with RawClient(gateway.port) as fifth:
            fifth.send(GOOD)  # it may have sent its request before it hears of the refusal
            answer = fifth.answer()
            assert (answer.status, answer.error["type"]) == (503, "server_error")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["connection"] == "close"
            assert fifth.rest() == b""
        for client in clients:
            assert client.ask(chat("echo")).status == 200
        clients.pop().sock.close()
        wait_for("room for another", lambda: gateway.metric("llm_gateway_open_connections") == 3)
        with RawClient(gateway.port) as sixth:
            assert sixth.ask(chat("echo")).status == 200
        for client in clients:
            client.sock.close()
        assert well(gateway)
