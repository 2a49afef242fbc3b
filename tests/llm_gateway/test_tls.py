"""TLS at both doors: towards clients with certificates that are renewed, towards providers, and through a proxy."""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openai
import pytest
import trustme

from llm_gateway_testing.background import Background, upstream_in_background
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.held import Gate, held
from llm_gateway_testing.raw_client import Answer, RawClient, chat, framed, request
from llm_gateway_testing.upstream import Upstream
from llm_gateway_testing.upstream import chat as well_behaved

GATE = Gate()
END_OF_STREAM = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with upstream_in_background({"m": well_behaved(), "held": held(GATE)}) as upstream:
        yield upstream


# The serving port.


def put_pair(folder: Path, pair: trustme.LeafCert) -> None:
    """Replaces key and certificate, one after the other, as renewals do."""
    for name, text in (
        ("key.pem", pair.private_key_pem.bytes()),
        ("cert.pem", pair.cert_chain_pems[0].bytes()),
    ):
        new = folder / "new"
        new.write_bytes(text)
        new.replace(folder / name)


@pytest.fixture(scope="module")
def gateway(
    authority: trustme.CA, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("tls")
    put_pair(folder, authority.issue_cert("localhost"))
    text = f"""server: {{port: 0, metrics_port: 0, tls: {{cert_path: cert.pem, key_path: key.pem}}}}
providers:
  up: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [m, held]}}
"""
    with running(folder, text) as gateway:
        yield gateway
        assert not any("unexpected" in line["message"] for line in gateway.lines())
        assert gateway.errors() == ""


def test_the_official_client_speaks_to_it(gateway: RunningGateway, authority: trustme.CA) -> None:
    assert gateway.scheme == "https"
    with (
        openai.DefaultHttpx2Client(verify=client_context(authority)) as http,
        openai.OpenAI(
            base_url=f"https://localhost:{gateway.port}/v1", api_key="none", http_client=http, max_retries=0
        ) as client,
    ):
        whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert whole.choices[0].message.content == "hello"
        stream = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "hello"


def test_all_requests_of_the_raw_client_are_answered_alike(
    gateway: RunningGateway, authority: trustme.CA
) -> None:
    with RawClient(gateway.port, tls=client_context(authority)) as client:
        for headers in ({}, {"Origin": "http://a"}):
            assert client.ask(chat("m"), **headers).status == 200
            assert client.ask(chat("m", stream=True), **headers).body.endswith(END_OF_STREAM)
        client.send(framed(b" " * 12_000_000))
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


def old_context(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    """One that would speak the oldest TLS there is, if it were let."""
    context = client_context(authority)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    return context


def test_old_versions_of_tls_are_refused(gateway: RunningGateway, authority: trustme.CA) -> None:
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(OSError):  # an alert, or no more than the end of the connection
            RawClient(gateway.port, tls=old_context(authority, version))
    with RawClient(gateway.port, tls=old_context(authority, ssl.TLSVersion.TLSv1_2)) as client:
        assert client.ask(chat("m")).status == 200


def test_plain_http_is_closed_and_disturbs_nobody(gateway: RunningGateway, authority: trustme.CA) -> None:
    with RawClient(gateway.port, tls=client_context(authority)) as neighbour:
        for data in (request(chat("m")), b"\0" * 100, b"\x16\x03\x01\x02\x00" + bytes(512)):
            with RawClient(gateway.port) as client, contextlib.suppress(ConnectionResetError):
                client.send(data)
                assert b"200 OK" not in client.rest()
        assert neighbour.ask(chat("m")).status == 200


def serial(gateway: RunningGateway, authority: trustme.CA) -> str:
    """Which certificate a new connection is shown."""
    with RawClient(gateway.port, tls=client_context(authority)) as client:
        assert isinstance(client.sock, ssl.SSLSocket)
        shown = client.sock.getpeercert()
        assert client.ask(chat("m")).status == 200
    assert shown is not None
    return str(shown["serialNumber"])


def complaints(gateway: RunningGateway) -> int:
    return sum("cannot be used, the old one stays" in line["message"] for line in gateway.lines())


def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not(
    gateway: RunningGateway, authority: trustme.CA
) -> None:
    GATE.close()
    first = serial(gateway, authority)
    with RawClient(gateway.port, tls=client_context(authority)) as client:
        client.send(request(chat("held", stream=True)))
        assert client.head().status == 200
        chunks = client.chunks()
        next(chunks)

        put_pair(gateway.folder, authority.issue_cert("localhost"))
        second = wait_for("the new certificate", lambda: another(serial(gateway, authority), first))

        # A certificate without its key: nobody may be shown it.
        known = complaints(gateway)
        stranger = authority.issue_cert("localhost")
        (gateway.folder / "cert.pem").write_bytes(stranger.cert_chain_pems[0].bytes())
        wait_for("the complaint", lambda: complaints(gateway) > known)
        assert serial(gateway, authority) == second
        known = complaints(gateway)
        (gateway.folder / "cert.pem").write_bytes(b"no certificate at all")
        wait_for("the complaint", lambda: complaints(gateway) > known)
        assert serial(gateway, authority) == second

        put_pair(gateway.folder, stranger)
        wait_for("the mended pair", lambda: another(serial(gateway, authority), second))
        GATE.open()
        assert b"".join(chunks).endswith(END_OF_STREAM)
    assert gateway.metric("llm_gateway_interrupted_streams_total") == 0


def another(found: str, known: str) -> str:
    return found if found != known else ""


# Providers.


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[Upstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with upstream_in_background({"m": well_behaved("secure")}, tls=context) as upstream:
        yield upstream


@dataclass
class Proxy:
    """Opens tunnels (RFC 9110, 9.3.6) and remembers where to; to port 1 it opens none."""

    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split(" ")[1]
        self.asked.append(target)
        if target.endswith(":1"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = target.rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        # In two pieces: the head of the answer must be read to its end.
        writer.write(b"HTTP/1.1 200 Connection established\r\nX-Via: pro")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"xy\r\n\r\n")
        await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))


async def speaks_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a web server that is asked for TLS on its plain port."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    writer.close()


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
def providers(
    authority: trustme.CA, upstream: Upstream, secure: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningGateway, Proxy]]:
    """A gateway whose providers each have something about their way."""
    folder = tmp_path_factory.mktemp("providers")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    other_name = secure.base_url.replace("localhost", "127.0.0.1")
    proxy = Proxy()
    with Background() as background:
        server = background.run(asyncio.start_server(proxy.serve, "127.0.0.1", 0))
        plain = background.run(asyncio.start_server(speaks_plainly, "127.0.0.1", 0))
        through = f"proxy: {{url: 'http://127.0.0.1:{port_of(server)}'}}"
        kind = "type: openai_compatible, models: [m]"
        text = f"""server: {{port: 0, metrics_port: 0}}
providers:
  trusted: {{{kind}, base_url: '{secure.base_url}', tls: {{ca_path: ca.pem}}}}
  system: {{{kind}, base_url: '{secure.base_url}'}}
  other-ca: {{{kind}, base_url: '{secure.base_url}', tls: {{ca_path: other.pem}}}}
  other-name: {{{kind}, base_url: '{other_name}', tls: {{ca_path: ca.pem}}}}
  no-tls: {{{kind}, base_url: 'https://localhost:{port_of(plain)}/v1'}}
  plain: {{{kind}, base_url: '{upstream.base_url}'}}
  plain-proxy: {{{kind}, base_url: '{upstream.base_url}', {through}}}
  tls-proxy: {{{kind}, base_url: '{secure.base_url}', tls: {{ca_path: ca.pem}}, {through}}}
  no-tunnel: {{{kind}, base_url: 'http://127.0.0.1:1/v1', {through}}}
  no-proxy: {{{kind}, base_url: '{upstream.base_url}', proxy: {{url: 'http://127.0.0.1:1'}}}}
  number: {{{kind}, base_url: 'http://2852039166/v1'}}
  hex: {{{kind}, base_url: 'http://0xa9fea9fe/v1'}}
  octal: {{{kind}, base_url: 'http://0251.254.43518/v1'}}
  number-by-proxy: {{{kind}, base_url: 'http://2852039166/v1', {through}}}
  six-by-proxy: {{{kind}, base_url: 'http://[::1]:1/v1', {through}}}
  proxy-there: {{{kind}, base_url: '{upstream.base_url}', proxy: {{url: 'http://2852039166:80'}}}}
routing:
  models:
    spared: {{targets: [{{provider: other-ca, model: m}}, {{provider: plain, model: m, priority: 1}}]}}
"""
        try:
            with running(folder, text) as gateway:
                yield gateway, proxy
        finally:
            background.loop.call_soon_threadsafe(server.close)
            background.loop.call_soon_threadsafe(plain.close)


def ask(gateway: RunningGateway, model: str, request_id: str = "any") -> Answer:
    with RawClient(gateway.port) as client:
        return client.ask(chat(model), X_Request_ID=request_id)


@pytest.mark.parametrize("provider", ["trusted", "tls-proxy"])
def test_an_authority_of_ones_own_is_trusted(providers: tuple[RunningGateway, Proxy], provider: str) -> None:
    answer = ask(providers[0], f"{provider}/m")
    assert answer.json["choices"][0]["message"]["content"] == "secure"


FAILURES: dict[str, str] = {
    "system": "certificate verify failed",
    "other-ca": "certificate verify failed",
    "other-name": "certificate verify failed",
    "no-tls": "TLS failed",
    "no-tunnel": "the proxy answered 403",
    "six-by-proxy": "the proxy answered 403",
    "no-proxy": "connection refused",
    "number": "link-local addresses are refused",
    "hex": "link-local addresses are refused",
    "octal": "link-local addresses are refused",
    "number-by-proxy": "link-local addresses are refused",
    "proxy-there": "link-local addresses are refused",
}


@pytest.mark.parametrize(("provider", "reason"), FAILURES.items(), ids=FAILURES)
def test_what_cannot_be_reached_safely_is_not_asked(
    providers: tuple[RunningGateway, Proxy], upstream: Upstream, secure: Upstream, provider: str, reason: str
) -> None:
    gateway, _ = providers
    asked = len(upstream.requests), len(secure.requests)
    answer = ask(gateway, f"{provider}/m", f"reach-{provider}")
    assert (answer.status, answer.error["type"]) == (502, "provider_error")
    assert reason in answer.error["message"]
    assert (len(upstream.requests), len(secure.requests)) == asked
    assert gateway.metric("llm_gateway_upstream_attempts_total", provider=provider, outcome="connect") == 1
    line = gateway.request(f"reach-{provider}")
    assert (line["status"], line["http_status"], line["attempts"]) == ("error", 502, 1)


def test_another_target_answers_for_an_untrusted_one(providers: tuple[RunningGateway, Proxy]) -> None:
    gateway, _ = providers
    assert ask(gateway, "spared", "spared").json["choices"][0]["message"]["content"] == "hello"
    line = gateway.request("spared")
    assert (line["status"], line["provider"], line["attempts"]) == ("success", "plain", 2)


def test_an_address_of_ipv6_is_named_to_the_proxy_in_brackets(
    providers: tuple[RunningGateway, Proxy],
) -> None:
    gateway, proxy = providers
    ask(gateway, "six-by-proxy/m")
    assert proxy.asked[-1] == "[::1]:1"


def test_a_tunnel_is_kept_for_the_next_request(
    providers: tuple[RunningGateway, Proxy], upstream: Upstream
) -> None:
    gateway, proxy = providers
    asked = len(proxy.asked)
    for _ in range(3):
        assert ask(gateway, "plain-proxy/m").json["choices"][0]["message"]["content"] == "hello"
    assert proxy.asked[asked:] == [f"127.0.0.1:{upstream.port}"]
