"""Where connections may go: never to link-local addresses, whatever their spelling; how providers become origins."""

import asyncio
import socket

import pytest

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.upstream.connection import UpstreamConnection
from llm_gateway.upstream.origin import Origin, OriginConnector, is_link_local
from llm_gateway.upstream.registry import origin_of
from llm_gateway_testing.driven import Driven, SetClock
from llm_gateway_testing.inprocess import load

REFUSED = [
    "169.254.169.254",
    "169.254.1.1",
    "169.254.0.0",
    "169.254.255.255",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "0:0:0:0:0:FFFF:A9FE:A9FE",
    "::ffff:169.254.169.254%1",
    "fe80::1",
    "fe80::1%eth0",
    "FE80::1%2",
    "febf:ffff::1",
    "fe80:0:0:0:0:0:a9fe:a9fe",
]
ALLOWED = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "192.168.169.254",
    "172.16.0.1",
    "8.8.8.8",
    "169.253.255.255",
    "169.255.0.0",
    "2001:db8::1",
    "fd00::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", REFUSED)
def test_link_local_is_refused(address: str) -> None:
    assert is_link_local(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_other_addresses_are_allowed(address: str) -> None:
    assert not is_link_local(address)


# Spellings that resolvers turn into 169.254.169.254.
SPELLINGS = ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]


def origin(host: str, **fields: object) -> Origin:
    settings = {"port": 80, "tls": False, "authorities": None, "proxy": None, "credential": ""} | fields
    return Origin(host, **settings)  # type: ignore[arg-type]


async def failure(where: Origin) -> UpstreamFailure:
    """What connecting there ends with."""
    clock = SetClock(asyncio.get_running_loop())
    connection = UpstreamConnection(clock, lambda _: None, lambda _: None)
    driven = Driven(OriginConnector(clock, where, None).connect(connection, clock.time + 60))
    await driven.end()
    assert isinstance(driven.error, UpstreamFailure), driven.error
    return driven.error


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_metadata_address_is_connected_to(host: str) -> None:
    error = await failure(origin(host))
    assert error.kind is FailureKind.connect
    assert "link-local addresses are refused" in error.message


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        (("169.254.169.254",), "could not connect (link-local addresses are refused)"),
        # The other address is tried, that one is not: a LAN name often has a link-local address besides.
        (("127.0.0.1", "169.254.169.254"), "could not connect (connection refused)"),
    ],
    ids=["alone", "beside another"],
)
async def test_no_metadata_address_that_a_name_resolves_to_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], message: str
) -> None:
    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(origin("metadata.example.com", port=unused.getsockname()[1]))
    assert error.message == message


@pytest.mark.parametrize("host", ["llm..internal", ".internal", f"{'a' * 64}.internal"])
async def test_a_name_that_no_resolver_can_be_asked_for_is_not_found(host: str) -> None:
    for proxy in (None, ("llm..proxy", 3128)):
        error = await failure(origin(host, proxy=proxy))
        assert (error.kind, error.message) == (FailureKind.connect, "could not be found (DNS)")


async def test_a_refused_connection_is_told_without_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    error = await failure(origin("127.0.0.1", port=port))
    assert error.kind is FailureKind.connect
    assert error.message == "could not connect (connection refused)"


ORIGINS: dict[str, tuple[str, Origin]] = {
    "OpenAI without a URL": (
        "{type: openai, api_key: sk-1}",
        origin("api.openai.com", port=443, tls=True),
    ),
    "http has port 80": ("{type: openai_compatible, base_url: 'http://llm/v1'}", origin("llm")),
    "a port of its own": (
        "{type: openai_compatible, base_url: 'https://llm:8443/v1'}",
        origin("llm", port=8443, tls=True),
    ),
    "an IPv6 address": (
        "{type: openai_compatible, base_url: 'http://[::1]:8000/v1'}",
        origin("::1", port=8000),
    ),
    "a proxy": (
        "{type: openai_compatible, base_url: 'https://llm/v1', proxy: {url: 'http://proxy:3128'}}",
        origin("llm", port=443, tls=True, proxy=("proxy", 3128)),
    ),
}


@pytest.mark.parametrize(("written", "expected"), ORIGINS.values(), ids=ORIGINS)
def test_origin_of_a_provider(written: str, expected: Origin) -> None:
    provider = load(f"providers: {{p: {written}}}").config.providers["p"]
    found = origin_of(provider)
    assert (found.host, found.port, found.tls, found.proxy) == (
        expected.host,
        expected.port,
        expected.tls,
        expected.proxy,
    )
    assert bool(found.credential) == (provider.api_key is not None)
    assert "sk-1" not in repr(found)
