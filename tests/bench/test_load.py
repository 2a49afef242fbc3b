"""The load generator against the upstream of the benchmark: it counts right, and it notices a wrong answer."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench import load, payload, process
from bench.upstream import Connection, Ticker


@asynccontextmanager
async def upstream(answer_with: bytes | None = None) -> AsyncIterator[int]:
    """The upstream on a free port; with `answer_with`, every piece that comes in is answered with that."""

    class Wrong(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer_with or b"")

    loop = asyncio.get_running_loop()
    ticker = Ticker(loop)
    factory = (lambda: Connection(ticker)) if answer_with is None else Wrong
    server = await loop.create_server(factory, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_the_request_and_the_answer_have_the_stated_sizes() -> None:
    for request in (payload.request("h"), payload.request("h", events=2000, rate=200.0)):
        assert len(request.partition(b"\r\n\r\n")[2]) == payload.REQUEST_BYTES
    body = payload.answer().partition(b"\r\n\r\n")[2]
    assert len(body) == payload.ANSWER_BYTES
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"
    assert 190 <= len(payload.EVENT) <= 230


async def test_requests_are_all_answered() -> None:
    async with upstream() as port:
        result = await load.run_requests(port, 4, 200)
    assert (result["done"], result["errors"]) == (200, [])


async def test_streams_bring_every_event_in_its_time() -> None:
    async with upstream() as port:
        result = await load.run_streams(port, 3, 20, 100.0)
    assert (result["done"], result["errors"]) == (60, [])
    assert isinstance(result["seconds"], float)
    assert result["seconds"] >= 0.2


WRONG_ANSWERS = {
    "an error status": payload.answer().replace(b"200 OK", b"502 Bad Gateway"),
    "a body of another length": payload.answer().replace(b"1400", b"1399"),
    "a head without a length": b"HTTP/1.1 200 OK\r\n\r\n",
    "a stream that ends early": payload.STREAM_HEAD + payload.EVENT + b"0\r\n\r\n",
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS.keys())
async def test_a_wrong_answer_is_an_error(answer: bytes) -> None:
    async with upstream(answer) as port:
        if answer.startswith(payload.STREAM_HEAD):
            result = await load.run_streams(port, 1, 20, 100.0)
        else:
            result = await load.run_requests(port, 1, 1)
    assert result["errors"]


def test_cpu_time_and_memory_of_children_count() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\nprint('spun', flush=True)\ninput()"
    with subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1"; true', sys.executable, spin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"spun\n"
        assert len(list(process.family(child.pid))) == 2
        assert process.cpu_seconds(child.pid) >= 0.25
        assert process.memory(child.pid).rss > process.memory(child.pid).pss > 1.0
        child.communicate(b"\n")
    assert os.getpid() in process.family(os.getppid())
