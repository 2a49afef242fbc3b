"""Clients that do not read, and clients that go: what they cost, and what becomes of their upstream connections."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from llm_gateway_testing.client import ask, chat_body, opened, request
from llm_gateway_testing.faults import slug
from llm_gateway_testing.relay import Relay, document, relaying
from llm_gateway_testing.upstream import (
    DONE,
    END,
    JSON_HEAD,
    ROLE,
    SSE_HEAD,
    STOP,
    Behaviour,
    Peer,
    Upstream,
    chat,
    event,
    framed,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1_000_000
FLOOD_EVENT = event({"content": "x" * 64_000})
FLOOD_EVENTS = 2000  # 128 MB
ROOM = 16 * MB  # what a client that does not read may cost
GONE_LIMIT = 2.0  # seconds until the upstream's connection closes


@dataclass
class Flood:
    """Sends as fast as it may, for as long as anybody reads."""

    events: int
    sent: int = 0  # bytes that the kernel has taken
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, peer: Peer) -> bool:
        peer.writer.transport.set_write_buffer_limits(0)
        self.sent = 0
        try:
            await peer.send(SSE_HEAD)
            for _ in range(self.events):
                await peer.chunk(FLOOD_EVENT)
                self.sent += len(FLOOD_EVENT)
            await peer.send(framed(STOP, DONE) + END)
        except ConnectionError:
            self.gone.set()
            return False
        return True


class Watching:
    """Begins an answer, and then watches for the gateway to leave."""

    def __init__(self, begun: bytes) -> None:
        self._begun = begun
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, peer: Peer) -> bool:
        await peer.send(self._begun)
        self.asked.set()
        await peer.gone()
        self.gone.set()
        return False


LEFT: dict[str, tuple[bytes, bool, str | None]] = {
    # What the upstream sends first; whether it streams; what the client has read of the answer when it goes.
    "before the head": (b"", True, None),
    "before the content": (SSE_HEAD + framed(ROLE), True, None),
    "in the middle of the stream": (SSE_HEAD + framed(ROLE, words("one ", "two")), True, "two"),
    "before a whole answer": (b"", False, None),
    "in the middle of a whole answer": (JSON_HEAD % (200, 500, b"") + b'{"choices": [', False, None),
}


def behaviours() -> dict[str, Behaviour]:
    found: dict[str, Behaviour] = {
        f"left {sentence}": Watching(begun) for sentence, (begun, _, _) in LEFT.items()
    }
    return found | {"good": chat("all is well"), "flood": Flood(FLOOD_EVENTS), "endless": Flood(10**9)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    async with Upstream(behaviours()) as upstream:
        with relaying(tmp_path_factory.mktemp("clients"), upstream, document(upstream)) as relay:
            yield relay


# A client that does not read.


async def when_still(flood: Flood, limit: float = 30.0) -> int:
    """How much had been sent when nothing more went out for a second."""
    end = time.monotonic() + limit
    while True:
        sent = flood.sent
        await asyncio.sleep(1.0)
        if sent and flood.sent == sent:
            return sent
        assert time.monotonic() < end, f"the upstream is never stopped: {flood.sent} bytes and counting"


def unread_client(port: int, data: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.connect(("127.0.0.1", port))
    client.sendall(data)
    client.setblocking(False)
    return client


async def test_a_client_that_does_not_read_stops_the_upstream_and_costs_little(case: Relay) -> None:
    flood = case.upstream.behaviours["flood"]
    assert isinstance(flood, Flood)
    await ask(case.port, "good", stream=True)
    before = case.gateway.rss()

    with unread_client(
        case.port, request(chat_body("flood", stream=True), b"X-Request-ID: slow\r\n")
    ) as client:
        sent = await when_still(flood)
        assert sent < FLOOD_EVENTS * len(FLOOD_EVENT) / 2
        assert case.gateway.rss() < before + ROOM
        assert (await ask(case.port, "good", stream=True)).done  # a neighbour does not notice

        loop, received, most, tail = asyncio.get_running_loop(), 0, 0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = await loop.sock_recv(client, MB)
            assert piece, "the stream broke off"
            received += len(piece)
            most = max(most, case.gateway.rss())
            tail = (tail + piece)[-4096:]

    assert flood.sent == FLOOD_EVENTS * len(FLOOD_EVENT)
    assert received > flood.sent
    assert DONE in tail
    assert most < before + ROOM
    line = case.gateway.request("slow")
    assert (line["status"], line["tokens"]["output"]) == ("success", FLOOD_EVENTS)
    assert line["bytes_out"] == flood.sent + len(STOP + DONE)


# A client that goes.


@pytest.mark.parametrize("sentence", LEFT)
async def test_when_the_client_goes_the_upstream_is_left_at_once(case: Relay, sentence: str) -> None:
    _, stream, read = LEFT[sentence]
    behave = case.upstream.behaviours[f"left {sentence}"]
    assert isinstance(behave, Watching)
    name = f"left-{slug(sentence)}"
    counted = gone_requests(case)

    data = request(chat_body(f"left {sentence}", stream=stream), b"X-Request-ID: %b\r\n" % name.encode())
    async with opened(case.port, data) as call:
        if read:
            await call.head()
            await call.until(read.encode())
        await behave.asked.wait()
        assert not behave.gone.is_set()
    async with asyncio.timeout(GONE_LIMIT):
        await behave.gone.wait()

    line = case.gateway.request(name)
    assert (line["status"], line["code"], line["level"]) == ("client_error", "client_disconnected", "INFO")
    assert line["http_status"] == (200 if read else 0)
    assert line.get("interrupted") == ("client" if read else None)
    assert ("tokens" in line) == (read is not None)
    assert gone_requests(case) == counted + 1
    assert (await ask(case.port, "good")).status == 200


async def test_when_a_client_goes_that_did_not_read_the_upstream_is_left_at_once(case: Relay) -> None:
    flood = case.upstream.behaviours["endless"]
    assert isinstance(flood, Flood)
    counted = gone_requests(case)

    with unread_client(case.port, request(chat_body("endless", stream=True), b"X-Request-ID: gone\r\n")):
        await when_still(flood)
    async with asyncio.timeout(GONE_LIMIT):
        await flood.gone.wait()

    line = case.gateway.request("gone")
    assert (line["status"], line["code"]) == ("client_error", "client_disconnected")
    assert line["interrupted"] == "client"
    assert line["tokens"]["estimated"]
    assert gone_requests(case) == counted + 1


def gone_requests(case: Relay) -> float:
    return case.gateway.metric(
        "llm_gateway_requests_total", status="client_error", code="client_disconnected"
    )
