"""The serving port over TLS beyond the request: who leaves, how it ends, and what it does not start on."""

import signal
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running, wait_for
from llm_gateway_testing.held import Gate, held
from llm_gateway_testing.raw_client import RawClient, chat, request
from llm_gateway_testing.upstream import Upstream
from llm_gateway_testing.upstream import chat as well_behaved

GATE = Gate()
END_OF_STREAM = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with upstream_in_background({"m": well_behaved(), "held": held(GATE)}) as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def shut_gate() -> Iterator[None]:
    """Behaviours that still wait must not outlive a test that failed."""
    GATE.close()
    yield
    GATE.open()


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def put_pair(folder: Path, authority: trustme.CA) -> None:
    pair = authority.issue_cert("localhost")
    pair.private_key_pem.write_to_path(str(folder / "key.pem"))
    pair.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))


def document(upstream: Upstream, more: str = "") -> str:
    return f"""server: {{port: 0, metrics_port: 0, tls: {{cert_path: cert.pem, key_path: key.pem{more}}}}}
providers:
  up: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [m, held]}}
"""


def begin_stream(client: RawClient, request_id: str) -> Iterator[bytes]:
    """A stream whose first content has come."""
    client.send(request(chat("held", stream=True), X_Request_ID=request_id))
    assert client.head().status == 200
    chunks = client.chunks()
    next(chunks)
    return chunks


def test_the_lowest_version_is_a_setting(tmp_path: Path, authority: trustme.CA, upstream: Upstream) -> None:
    put_pair(tmp_path, authority)
    context = client_context(authority)
    with running(tmp_path, document(upstream, ', min_version: "1.3"')) as gateway:
        with RawClient(gateway.port, tls=context) as client:
            assert isinstance(client.sock, ssl.SSLSocket)
            assert client.sock.version() == "TLSv1.3"
            assert client.ask(chat("m")).status == 200
        with warnings.catch_warnings(action="ignore"):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError):  # an alert, or no more than the end of the connection
            RawClient(gateway.port, tls=context)


@pytest.fixture
def gateway(tmp_path: Path, authority: trustme.CA, upstream: Upstream) -> Iterator[RunningGateway]:
    put_pair(tmp_path, authority)
    with running(tmp_path, document(upstream)) as gateway:
        yield gateway
        assert gateway.stop() == 0
        assert gateway.errors() == ""
        assert not any("unexpected" in line["message"] for line in gateway.lines())


def test_a_client_that_leaves_lets_go_of_the_provider(
    gateway: RunningGateway, authority: trustme.CA, upstream: Upstream
) -> None:
    with RawClient(gateway.port, tls=client_context(authority)) as client:
        begin_stream(client, "left")
        assert upstream.open == 1
    wait_for("the provider's connection to close", lambda: upstream.open == 0)
    line = gateway.request("left")
    assert (line["status"], line["code"]) == ("client_error", "client_disconnected")
    assert line["interrupted"] == "client"
    wait_for("the client to be counted out", lambda: gateway.metric("llm_gateway_open_connections") == 0)
    assert gateway.metric("llm_gateway_open_streams") == 0


def test_a_drain_lets_streams_end_and_waits_for_no_idle_client(
    gateway: RunningGateway, authority: trustme.CA
) -> None:
    context = client_context(authority)
    with RawClient(gateway.port, tls=context) as client, RawClient(gateway.port, tls=context) as idle:
        assert idle.ask(chat("m")).status == 200
        rest = begin_stream(client, "drained")
        gateway.signal(signal.SIGTERM)
        wait_for("the drain", lambda: any("draining" in line["message"] for line in gateway.lines()))
        GATE.open()
        assert b"".join(rest).endswith(END_OF_STREAM)
        # The idle one never answers the end of TLS: 30 s are what the event loop would wait for that.
        assert gateway.process.wait(15) == 0
    line = gateway.request("drained")
    assert (line["status"], line.get("interrupted")) == ("success", None)


# What it does not start on.


def complaint(folder: Path, text: str) -> str:
    """Of a gateway that must end with one line."""
    (folder / "gateway.yaml").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "llm_gateway"],
        cwd=folder,
        env={"HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("key", ["missing", "text", "of another certificate"])
def test_it_does_not_start_on_a_pair_that_is_none(
    tmp_path: Path, authority: trustme.CA, upstream: Upstream, key: str
) -> None:
    put_pair(tmp_path, authority)
    path = tmp_path / "key.pem"
    if key == "missing":
        path.unlink()
    else:
        other = authority.issue_cert("localhost").private_key_pem.bytes()
        path.write_bytes(b"no key" if key == "text" else other)
    line = complaint(tmp_path, document(upstream))
    assert line.startswith("llm-gateway: server.tls: cert.pem and key.pem cannot be used: ")


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "text"])
def test_it_does_not_start_without_the_authority_of_a_provider(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    where = "base_url: 'https://llm.internal/v1', tls: {ca_path: ca.pem}"
    provider = f"{{type: openai_compatible, models: [m], {where}}}"
    line = complaint(tmp_path, f"{ANY_PORT}providers:\n  a: {provider}\n")
    assert line.startswith("llm-gateway: tls.ca_path ca.pem cannot be used: ")
