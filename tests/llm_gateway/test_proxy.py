"""Egress proxies that refuse, or are none: told in words without an address, and another target answers."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from llm_gateway_testing.background import Background, upstream_in_background
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running, wait_for
from llm_gateway_testing.raw_client import RawClient, chat
from llm_gateway_testing.upstream import Upstream
from llm_gateway_testing.upstream import chat as well_behaved

ANSWERS = {
    "refuses": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nproxy.lan",
    "locked": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
    "shuts": b"",
    "no-http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "endless": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 20_000,
    "half": b"HTTP/1.1 200 OK\r\nVia: x",
}


@dataclass
class Proxy:
    """The name that it is asked for chooses what it does: for `silent` nothing, for those of `ANSWERS` an answer."""

    heads: list[str] = field(default_factory=list)
    left: int = 0  # clients of `silent` that have given up

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        name = head.split(" ")[1].partition(".")[0]
        if name == "silent":
            await reader.read()
            self.left += 1
        else:
            writer.write(ANSWERS[name])
        writer.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with upstream_in_background({"m": well_behaved()}) as upstream:
        yield upstream


@dataclass(frozen=True)
class Parts:
    gateway: RunningGateway
    proxy: Proxy


@pytest.fixture(scope="module")
def parts(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Provider NAME is behind a proxy that does what NAME says; model `spared-NAME` has a second target."""
    proxy = Proxy()
    with Background() as background:
        server = background.run(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
        port = server.sockets[0].getsockname()[1]
        behaviours = [*ANSWERS, "silent"]
        text = f"{ANY_PORT}providers:\n"
        for name in behaviours:
            text += (
                f"  {name}: {{type: openai_compatible, base_url: 'https://{name}.llm.lan:8443/v1', api_key: sk-1, "
                f"models: [m], timeouts: {{connect: 500ms}}, proxy: {{url: 'http://127.0.0.1:{port}'}}}}\n"
            )
        text += f"  spare: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [m]}}\n"
        text += "routing:\n  models:\n"
        for name in behaviours:
            targets = f"{{provider: {name}, model: m}}, {{provider: spare, model: m, priority: 1}}"
            text += f"    spared-{name}: {{targets: [{targets}]}}\n"
        try:
            with running(tmp_path_factory.mktemp("proxy"), text) as gateway:
                yield Parts(gateway, proxy)
                assert not any("unexpected" in line["message"] for line in gateway.lines())
        finally:
            background.loop.call_soon_threadsafe(server.close)


FAILURES: dict[str, tuple[int, str, str]] = {
    "refuses": (502, "connect", "could not connect (the proxy answered 403)"),
    "locked": (502, "connect", "could not connect (the proxy answered 407)"),
    "shuts": (502, "connect", "could not connect (the proxy closed the connection)"),
    "half": (502, "connect", "could not connect (the proxy closed the connection)"),
    "no-http": (502, "connect", "could not connect (the proxy answered ?)"),
    "endless": (502, "connect", "could not connect (the proxy closed the connection)"),
    "silent": (504, "timeout", "timed out while connecting"),
}


@pytest.mark.parametrize(("name", "expected"), FAILURES.items(), ids=FAILURES)
def test_a_proxy_that_opens_no_tunnel(parts: Parts, name: str, expected: tuple[int, str, str]) -> None:
    gateway = parts.gateway
    status, outcome, message = expected
    labels = {"provider": name, "outcome": outcome}
    before = gateway.metric("llm_gateway_upstream_attempts_total", **labels)
    with RawClient(gateway.port) as client:
        answer = client.ask(chat(f"{name}/m"))
    assert (answer.status, answer.error["type"]) == (status, "provider_error")
    assert answer.error["message"] == f"{name}/m: {message}"
    assert gateway.metric("llm_gateway_upstream_attempts_total", **labels) == before + 1
    line = gateway.request(answer.headers["x-request-id"])
    assert (line["status"], line["http_status"], line["attempts"]) == ("error", status, 1)


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_target_answers(parts: Parts, name: str, stream: bool) -> None:
    with RawClient(parts.gateway.port) as client:
        answer = client.ask(chat(f"spared-{name}", stream=stream))
    assert answer.status == 200
    assert b"hello" in answer.body
    line = parts.gateway.request(answer.headers["x-request-id"])
    assert (line["status"], line["provider"], line["attempts"]) == ("success", "spare", 2)


def test_a_proxy_is_told_the_target_and_nothing_else(parts: Parts) -> None:
    with RawClient(parts.gateway.port) as client:
        client.ask(chat("refuses/m"), Authorization="Bearer client-key", Cookie="a=b")
    where = "refuses.llm.lan:8443"
    assert parts.proxy.heads[-1] == f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n"


def test_no_tunnel_is_left_behind(parts: Parts) -> None:
    before = parts.proxy.left
    with RawClient(parts.gateway.port) as client:
        assert client.ask(chat("silent/m")).status == 504
        wait_for("the tunnel to be given up", lambda: parts.proxy.left == before + 1)


def test_no_address_is_logged(parts: Parts) -> None:
    with RawClient(parts.gateway.port) as client:
        answers = [client.ask(chat(f"{name}/m")) for name in FAILURES]
    for answer in answers:
        line = parts.gateway.request(answer.headers["x-request-id"])
        assert not re.search(r"lan|127\.0|\d{4}|sk-1", line["error"])
