"""HTTP that is right though unusual: answered, in order, and alike whichever way it is read."""

import gzip
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_testing.door import (
    BODY,
    CHUNKED,
    END_OF_STREAM,
    GOOD,
    HEAD,
    JSON,
    LIMIT,
    PAGE,
    STOCK,
    Neighbour,
    answer_to,
    gateway_with_neighbour,
    is_error,
    well,
)
from llm_gateway_testing.gateway import RunningGateway
from llm_gateway_testing.raw_client import Answer, RawClient, chat, framed, request


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


RIGHT: dict[str, tuple[bytes, int]] = {
    "chunked": (CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), 200),
    "chunk extension, trailer": (CHUNKED + b"%x;a=b\r\n%b\r\n0\r\nX-A: b\r\n\r\n" % (len(BODY), BODY), 200),
    "one byte a chunk": (CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n", 200),
    "gzip": (framed(gzip.compress(BODY), Content_Encoding="gzip"), 200),
    "no content type": (GOOD.replace(JSON, b""), 200),
    "a charset": (GOOD.replace(b"application/json", b"Application/JSON; charset=utf-8"), 200),
    "a query": (GOOD.replace(b"completions HTTP", b"completions?api-version=1 HTTP"), 200),
    "the absolute form": (GOOD.replace(b"POST /", b"POST http://gateway/"), 200),
    "a name in capitals": (GOOD.replace(b"Content-Length", b"CONTENT-LENGTH"), 200),
    "no blank after the colon": (HEAD.replace(b": ", b":") + b"\r\n" + BODY, 200),
    "a page": (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "a page with a query": (b"GET /v1/models?limit=3 HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "an empty line before it": (b"\r\n" + GOOD, 200),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), RIGHT.values(), ids=RIGHT)
def test_an_odd_request_is_answered(gateway: RunningGateway, data: bytes, status: int) -> None:
    answer = answer_to(gateway, data)
    assert answer is not None
    assert answer.status == status, answer


def test_a_wrong_method_is_told_the_right_one(gateway: RunningGateway) -> None:
    table = {
        b"GET /v1/chat/completions": "POST",
        b"DELETE /v1/models": "GET, HEAD",
        b"POST /health": "GET, HEAD",
    }
    for line, allowed in table.items():
        answer = answer_to(gateway, line + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert answer is not None
        assert is_error(answer, 405)
        assert answer.headers["allow"] == allowed
    with RawClient(gateway.metrics_port) as client:
        client.send(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer.headers["allow"]) == (405, "GET,HEAD")
        assert answer.error["type"] == "invalid_request_error"


def test_head_has_the_head_and_no_body(gateway: RunningGateway) -> None:
    with RawClient(gateway.port) as client:
        for path, status in (
            (b"/health", 200),
            (b"/nothing", 404),
            (b"/v1/chat/completions", 405),
            (b"/health", 200),
        ):
            client.send(b"HEAD " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = client.answer(bodyless=True)
            assert answer.status == status
            assert int(answer.headers["content-length"]) > 0
        client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().json["status"] == "ok", "nothing lay between the answers"


def test_pages_of_allowed_origins_may_call(gateway: RunningGateway) -> None:
    with RawClient(gateway.port) as client:
        for origin, allowed in (
            ("http://page.example", "http://page.example"),
            ("http://other.example", None),
        ):
            client.send(
                f"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n"
                "Access-Control-Request-Method: POST\r\n\r\n".encode()
            )
            answer = client.answer()
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert (answer.status, "POST" in answer.headers["access-control-allow-methods"]) == (200, True)
            for model, status in (("m", 200), ("nothing", 404)):
                answer = client.ask(chat(model), Origin=origin)
                assert (answer.status, answer.headers.get("access-control-allow-origin")) == (status, allowed)
        client.send(b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n")
        assert is_error(client.answer(), 405)


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0_gets_a_body_that_ends_with_the_connection(gateway: RunningGateway, stream: bool) -> None:
    with RawClient(gateway.port) as client:
        client.send(request(chat("m", stream=stream)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = client.head()
        body = client.rest()
        assert answer.status == 200
        assert "transfer-encoding" not in answer.headers
        assert answer.headers["connection"] == "close"
        if stream:
            assert body.startswith(b"data: {")
            assert body.endswith(END_OF_STREAM)
        else:
            assert len(body) == int(answer.headers["content-length"])
            assert json.loads(body)["choices"]


def test_curl_is_told_to_go_on(gateway: RunningGateway, tmp_path: Path) -> None:
    body = tmp_path / "body.json"

    def curl(content: dict[str, Any]) -> tuple[str, str]:
        body.write_text(json.dumps(content))
        command = [
            "curl",
            "-sS",
            "-v",
            "--max-time",
            "20",
            "--expect100-timeout",
            "15",
            "--data-binary",
            f"@{body}",
        ]
        headers = ["-H", "Content-Type: application/json", "-H", "Expect: 100-continue"]
        done = subprocess.run(
            [*command, *headers, f"{gateway.url}/v1/chat/completions"], capture_output=True, text=True
        )
        return done.stdout, done.stderr

    begun = time.monotonic()
    answer, told = curl(chat("m", "x" * 20_000))
    assert json.loads(answer)["choices"]
    assert "HTTP/1.1 100 Continue" in told
    answer, told = curl(chat("m", "x" * (LIMIT + 1)))
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"
    assert "100 Continue" not in told, "a body that is refused anyway is not asked for"
    assert time.monotonic() - begun < 14, "curl waited in vain for its 100"


# Pipelines.


def identified(data: bytes, request_id: str) -> bytes:
    return data.replace(b"Host:", b"X-Request-ID: %b\r\nHost:" % request_id.encode(), 1)


PIPELINES: dict[str, list[bytes]] = {
    "three of the hot shape, the first is slow": [request(chat("slow")), GOOD, request(chat("m", stream=True))],
    "three streams": [request(chat(model, stream=True)) for model in ("slow", "m", "slow")],
    "three that aiohttp reads": [request(chat("slow"), TE="trailers"), STOCK, STOCK],
    "the hot shape and others": [GOOD, PAGE, GOOD, PAGE, request(chat("m", stream=True))],
    "others and the hot shape": [PAGE, GOOD, PAGE, STOCK],
    "a refused one between": [GOOD, request(chat("nothing")), GOOD],
    "an upstream's error between": [GOOD, request(chat("breaks")), request(chat("m", stream=True))],
}  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 7, 100_000])
@pytest.mark.parametrize("requests", PIPELINES.values(), ids=PIPELINES)
def test_pipelined_requests_are_answered_in_order(
    gateway: RunningGateway, requests: list[bytes], pieces: int
) -> None:
    names = [f"pipe-{number}" for number in range(len(requests))]
    data = b"".join(identified(each, name) for each, name in zip(requests, names, strict=True))
    with RawClient(gateway.port) as client:
        client.send_slowly(data, pieces)
        found = [client.answer() for _ in requests]
        assert [answer.headers["x-request-id"] for answer in found] == names
        for sent, answer in zip(requests, found, strict=True):
            if b'"stream": true' in sent:
                assert answer.body.endswith(END_OF_STREAM)
            expected = 404 if b"nothing" in sent else 502 if b"breaks" in sent else 200
            assert answer.status == expected


def test_garbage_after_an_answer_is_a_request_of_its_own(gateway: RunningGateway) -> None:
    for first in (request(chat("m", stream=True), X_Request_ID="mine"), GOOD, STOCK, PAGE):
        with RawClient(gateway.port) as client:
            client.send(first)
            assert client.answer().status == 200
            client.send(b"\1\2\3 garbage\r\n\r\n")
            answer = client.answer()
            assert is_error(answer, 400)
            assert answer.headers["x-request-id"] != "mine"
            assert client.rest() == b""


def test_a_long_pipeline_is_answered_whole(gateway: RunningGateway) -> None:
    with RawClient(gateway.port) as client:
        sender = threading.Thread(target=client.send, args=(GOOD * 600,))
        sender.start()
        assert all(client.answer().status == 200 for _ in range(600))
        sender.join()


# The same bytes in other pieces, the same request in other spellings.


def comparable(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status, headers, answer.body


@pytest.mark.parametrize(
    "data",
    [GOOD, STOCK, RIGHT["chunked"][0], request(chat("nothing"))],
    ids=["hot", "stock", "chunked", "refused"],
)
def test_a_request_in_two_pieces_is_the_same_request(gateway: RunningGateway, data: bytes) -> None:
    whole = answer_to(gateway, data)
    assert whole is not None
    with RawClient(gateway.port) as client:
        for cut in range(1, len(data)):
            client.send(data[:cut])
            time.sleep(0.0005)  # most often enough for the server to read one piece without the other
            client.send(data[cut:])
            assert comparable(client.answer()) == comparable(whole), f"cut at {cut}: {data[:cut]!r}"


SERIAL = itertools.count()
VARYING = {"timestamp", "request_id", "duration_ms", "time_to_first_token_ms", "overhead_ms"}
SPELLINGS: dict[str, dict[str, str]] = {
    "with a header of browsers": {"Origin": "http://other.example"},
    "with TE": {"TE": "trailers"},
    "twice the same harmless header": {"X-A": "b\r\nTraceparent: c\r\nTraceparent: c"},
}
BODIES: dict[str, bytes] = {
    "an answer": BODY,
    "a stream": json.dumps(chat("m", stream=True)).encode(),
    "a stream with usage": json.dumps(
        chat("m", stream=True, stream_options={"include_usage": True})
    ).encode(),
    "letters beyond ASCII": json.dumps(chat("m", "\u00fc\u4e2d\U0001f600"), ensure_ascii=False).encode(),
    "by provider": json.dumps(chat("up/m")).encode(),
    "unknown model": json.dumps(chat("mm")).encode(),
    "rejected by the upstream": json.dumps(chat("rejects")).encode(),
    "failed upstream": json.dumps(chat("breaks")).encode(),
    "failed stream": json.dumps(chat("breaks", stream=True)).encode(),
    "busy upstream": json.dumps(chat("limits")).encode(),
    "no JSON": b"hello",
    "no object": b"[]",
    "nothing": b"",
    "two models": b'{"model": "m", "model": "m", "messages": []}',
    "stream of the wrong type": b'{"model": "m", "stream": "yes", "messages": []}',
    "too large": b" " * (LIMIT + 1),
}


@pytest.mark.parametrize("extra", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_both_ways_answer_alike(gateway: RunningGateway, body: bytes, extra: dict[str, str]) -> None:
    """One spelling is read by the gateway itself, the other one by aiohttp."""
    ids = [f"{way}-{next(SERIAL)}" for way in ("hot", "stock")]
    hot = answer_to(gateway, framed(body, X_Request_ID=ids[0]))
    stock = answer_to(gateway, framed(body, X_Request_ID=ids[1], **extra))
    assert hot is not None
    assert stock is not None
    assert comparable(hot) == comparable(stock)
    assert [hot.headers["x-request-id"], stock.headers["x-request-id"]] == ids
    if hot.status != 413:  # refused before it is a chat completion
        lines = [gateway.request(request_id) for request_id in ids]
        assert {name: lines[0][name] for name in lines[0].keys() - VARYING} == {
            name: lines[1][name] for name in lines[1].keys() - VARYING
        }
