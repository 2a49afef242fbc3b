"""The end of a process: unready first, then closed to newcomers, patient with what runs, and orderly when it is not."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.held import Gate, held, mute
from llm_gateway_testing.raw_client import RawClient, chat, exchange, request
from llm_gateway_testing.upstream import Upstream
from llm_gateway_testing.upstream import chat as well_behaved

GATE = Gate()
END_OF_STREAM = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with upstream_in_background(
        {"plain": well_behaved(), "held": held(GATE), "mute": mute(GATE)}
    ) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def shut_gate() -> Iterator[None]:
    """Behaviours that still wait must not outlive a test that failed."""
    GATE.close()
    yield
    GATE.open()


def document(upstream: Upstream, drain: str, delay: str = "0s") -> str:
    return f"""server: {{port: 0, metrics_port: 0, graceful_shutdown_timeout: {drain}, shutdown_delay: {delay}}}
providers:
  up: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [plain, held, mute]}}
"""


def begin_stream(client: RawClient, request_id: str) -> Iterator[bytes]:
    """A stream whose first content has come."""
    client.send(request(chat("held", stream=True), X_Request_ID=request_id))
    assert client.head().status == 200
    chunks = client.chunks()
    next(chunks)
    return chunks


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def draining(gateway: RunningGateway) -> bool:
    return any(line["message"].startswith("draining") for line in gateway.lines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_under_fifty_streams_cuts_none(
    tmp_path: Path, upstream: Upstream, number: int
) -> None:
    with running(tmp_path, document(upstream, "60s")) as gateway:
        streams = [
            asyncio.create_task(exchange(gateway.port, request(chat("held", stream=True)))) for _ in range(50)
        ]
        wholes = [asyncio.create_task(exchange(gateway.port, request(chat("held")))) for _ in range(10)]
        await asyncio.to_thread(wait_for, "all to be in flight", lambda: upstream.open == 60)
        gateway.signal(number)
        await asyncio.to_thread(wait_for, "the port to close", lambda: refuses(gateway.port))
        assert gateway.get("/ready", admin=True)[0] == 503
        assert gateway.metric("llm_gateway_open_streams") == 50
        assert not any(task.done() for task in (*streams, *wholes))
        GATE.open()
        for answer in await asyncio.gather(*streams):
            assert answer.body.endswith(END_OF_STREAM)
            assert b'"error"' not in answer.body
        for answer in await asyncio.gather(*wholes):
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
        assert await asyncio.to_thread(gateway.process.wait, 20) == 0
        assert len(gateway.requests()) == 60
        assert {line["status"] for line in gateway.requests()} == {"success"}
        assert gateway.errors() == ""


def test_readiness_fails_first_and_then_the_door_closes(tmp_path: Path, upstream: Upstream) -> None:
    with (
        running(tmp_path, document(upstream, "60s", delay="3s")) as gateway,
        RawClient(gateway.port) as client,
    ):
        chunks = begin_stream(client, "patient")
        with RawClient(gateway.port) as kept:
            assert kept.ask(chat("plain")).status == 200
            gateway.signal(signal.SIGTERM)
            signalled = time.monotonic()
            for admin in (False, True):
                wait_for(
                    "readiness to fail", lambda admin=admin: gateway.get("/ready", admin=admin)[0] == 503
                )  # type: ignore[misc]
                assert gateway.get("/ready", admin=admin)[1]["status"] == "shutting_down"
                assert gateway.get("/live", admin=admin)[0] == 200, (
                    "a probe of liveness must not end it sooner"
                )
            # Load balancers have not heard of it yet: newcomers are served, and connections stay open.
            with RawClient(gateway.port) as newcomer:
                assert newcomer.ask(chat("plain")).status == 200
            assert "connection" not in kept.ask(chat("plain")).headers
        wait_for("the port to close", lambda: refuses(gateway.port))
        assert time.monotonic() - signalled > 2.9
        assert gateway.process.poll() is None
        assert gateway.get("/ready", admin=True)[0] == 503
        GATE.open()
        assert b"".join(chunks).endswith(END_OF_STREAM)
        assert gateway.process.wait(20) == 0


def test_requests_on_their_way_in_are_answered(tmp_path: Path, upstream: Upstream) -> None:
    """Both ways: the second one is read by aiohttp."""
    with (
        running(tmp_path, document(upstream, "60s")) as gateway,
        RawClient(gateway.port) as hot,
        RawClient(gateway.port) as stock,
        RawClient(gateway.port) as later,
    ):
        asked = {hot: request(chat("plain")), stock: request(chat("plain"), Origin="http://a")}
        for client, data in asked.items():
            client.send(data[:-10])
        assert later.ask(chat("plain")).status == 200  # by now the gateway has read what came before
        gateway.signal(signal.SIGTERM)
        wait_for("the port to close", lambda: refuses(gateway.port))
        for client, data in asked.items():
            client.send(data[-10:])
            answer = client.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert gateway.process.wait(20) == 0
        assert {line["status"] for line in gateway.requests()} == {"success"}
        assert len(gateway.requests()) == 3


def test_when_the_drain_time_is_over_answers_end_with_an_error(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, document(upstream, "700ms")) as gateway:
        with (
            RawClient(gateway.port) as begun,
            RawClient(gateway.port) as mute,
            RawClient(gateway.port) as whole,
        ):
            chunks = begin_stream(begun, "begun")
            mute.send(request(chat("mute", stream=True), X_Request_ID="mute"))
            whole.send(request(chat("held"), X_Request_ID="whole"))
            asked = {"mute", "held"}
            wait_for("requests", lambda: asked <= {each.json["model"] for each in upstream.requests[-3:]})
            begun_at = time.monotonic()
            gateway.signal(signal.SIGTERM)
            rest = b"".join(chunks)
            assert time.monotonic() - begun_at > 0.6
            assert b"[DONE]" not in rest
            assert b"shutting down" in rest.rpartition(b"data: ")[2]
            assert begun.rest() == b""
            for client in (mute, whole):
                answer = client.answer()
                assert (answer.status, answer.error["type"]) == (503, "server_error")
                assert "shutting down" in answer.error["message"]
        assert gateway.process.wait(20) == 0
        line = gateway.request("begun")
        assert (line["status"], line["interrupted"], line["http_status"]) == ("error", "shutdown", 200)
        for request_id in ("mute", "whole"):
            line = gateway.request(request_id)
            assert (line["status"], line["http_status"], line.get("interrupted")) == ("error", 503, None)
        assert any("drain time is over, 3 requests" in line["message"] for line in gateway.lines())
        assert not any("unexpected" in line["message"] for line in gateway.lines())
        assert gateway.errors() == ""


def test_idle_connections_are_closed_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with (
        running(tmp_path, document(upstream, "60s")) as gateway,
        RawClient(gateway.port) as busy,
        RawClient(gateway.port) as silent,
        RawClient(gateway.port) as hot,
        RawClient(gateway.port) as stock,
    ):
        chunks = begin_stream(busy, "busy")
        assert hot.ask(chat("plain")).status == 200
        assert stock.ask(chat("plain"), Origin="http://a").status == 200
        gateway.signal(signal.SIGTERM)
        for idle in (silent, hot, stock):
            assert idle.rest() == b""
        assert gateway.process.poll() is None
        GATE.open()
        assert b"".join(chunks).endswith(END_OF_STREAM)
        assert gateway.process.wait(20) == 0


def test_a_second_signal_ends_at_once(tmp_path: Path, upstream: Upstream) -> None:
    with running(tmp_path, document(upstream, "60s")) as gateway, RawClient(gateway.port) as client:
        begin_stream(client, "cut")
        gateway.signal(signal.SIGINT)
        wait_for("the drain to begin", lambda: draining(gateway))
        gateway.signal(signal.SIGINT)
        assert gateway.process.wait(10) == 130
        assert any("second signal" in line["message"] for line in gateway.lines())


def test_one_signal_after_the_parents_pipe_is_not_a_second_one(tmp_path: Path, upstream: Upstream) -> None:
    """Whoever ends the parent often signals the child as well."""
    ours, parents = os.pipe()
    try:
        with (
            running(
                tmp_path, document(upstream, "60s"), arguments=("--stop-with-stdin",), stdin=ours
            ) as gateway,
            RawClient(gateway.port) as client,
        ):
            chunks = begin_stream(client, "orderly")
            os.close(parents)
            wait_for("the drain to begin", lambda: draining(gateway))
            gateway.signal(signal.SIGTERM)
            for _ in range(3):  # the signal has come by then
                next(chunks)
            GATE.open()
            assert b"".join(chunks).endswith(END_OF_STREAM)
            assert gateway.process.wait(20) == 0
    finally:
        os.close(ours)


def test_it_ends_with_its_parents_pipe(tmp_path: Path, upstream: Upstream) -> None:
    ours, parents = os.pipe()
    try:
        with (
            running(
                tmp_path, document(upstream, "60s"), arguments=("--stop-with-stdin",), stdin=ours
            ) as gateway,
            RawClient(gateway.port) as client,
        ):
            os.write(parents, b"what is written there means nothing\n")
            chunks = begin_stream(client, "orderly")
            with pytest.raises(subprocess.TimeoutExpired):
                gateway.process.wait(0.5)
            os.close(parents)
            wait_for("the drain to begin", lambda: draining(gateway))
            GATE.open()
            assert b"".join(chunks).endswith(END_OF_STREAM)
            assert gateway.process.wait(20) == 0
    finally:
        os.close(ours)
