"""The shape of request that is served without aiohttp: what is accepted, what is declined, and that aiohttp agrees."""

import asyncio
from dataclasses import dataclass

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy, RawRequestMessage
from aiohttp.streams import StreamReader
from hypothesis import example, find, given, settings
from hypothesis import strategies as st

from llm_gateway.server.hot_head import (
    _CACHE_SIZE,
    _LONGEST_CACHED,
    HOT_LINE,
    HotHead,
    _cache,
    read_hot_head,
)
from llm_gateway.server.stock import MAX_HEADERS

LIMIT = 32_000  # bytes of a head
REST = "Host: gateway\r\nContent-Type: application/json\r\nContent-Length: 5"

ACCEPTED: dict[str, tuple[str, HotHead]] = {
    "the headers that there must be": (REST, HotHead(5, None, b"")),
    "no body": (REST.replace("5", "0"), HotHead(0, None, b"")),
    "names in any case": (
        REST.upper().replace("APPLICATION/JSON", "Application/Json"),
        HotHead(5, None, b""),
    ),
    "no blank after the colon": (REST.replace(": ", ":"), HotHead(5, None, b"")),
    "blanks around a value": (REST.replace(": ", ": \t ").replace("\r\n", " \t\r\n"), HotHead(5, None, b"")),
    "leading zeros of a length": (REST.replace("5", "0005"), HotHead(5, None, b"")),
    "parameters of the content type": (
        REST.replace("/json", "/json; charset=utf-8"),
        HotHead(5, None, b""),
    ),
    "connection: keep-alive": (REST + "\r\nConnection: Keep-Alive", HotHead(5, None, b"")),
    "headers of no interest, twice": (
        REST + "\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\nAccept: */*",
        HotHead(5, None, b""),
    ),
    "a hundred headers": (REST + "\r\nX-A: 1" * 97, HotHead(5, None, b"")),
    "an empty value": (REST + "\r\nX-Empty:", HotHead(5, None, b"")),
    "bytes beyond ASCII in a value": (REST + "\r\nX-Name: Z\xfc", HotHead(5, None, b"")),
    "a safe request id": (REST + "\r\nX-Request-ID: a-1_b.c:D", HotHead(5, "a-1_b.c:D", b"")),
    "a request id of 128 characters": (REST + f"\r\nx-request-id: {'i' * 128}", HotHead(5, "i" * 128, b"")),
    "a request id that is too long is not taken": (
        REST + f"\r\nX-Request-ID: {'i' * 129}",
        HotHead(5, None, b""),
    ),
    "a request id that is not safe is not taken": (
        REST + '\r\nX-Request-ID: {"forged": 1}',
        HotHead(5, None, b""),
    ),
    "an empty request id is not taken": (REST + "\r\nX-Request-ID: ", HotHead(5, None, b"")),
    "headers that pass to the provider, in order of name": (
        REST + "\r\nTraceParent: 00-a-b-01\r\nOpenAI-Beta:  x=1 \r\nIdempotency-Key: k",
        HotHead(5, None, b"idempotency-key: k\r\nopenai-beta: x=1\r\ntraceparent: 00-a-b-01\r\n"),
    ),
    "credentials and cookies stay here": (
        REST + "\r\nAuthorization: Bearer sk-client\r\nCookie: session=1\r\nOpenAI-Organization: org-1",
        HotHead(5, None, b""),
    ),
}


@pytest.mark.parametrize(("head", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(head: str, expected: HotHead) -> None:
    assert read_hot_head(head.encode("latin-1")) == expected
    assert read_hot_head(head.encode("latin-1")) == expected, "remembered"


DECLINED: dict[str, str] = {
    "nothing": "",
    "no length": REST.replace("\r\nContent-Length: 5", ""),
    "two lengths": REST + "\r\nContent-Length: 5",
    "two lengths that differ": REST + "\r\ncontent-length: 6",
    "a list of lengths": REST.replace("5", "5, 5"),
    "a negative length": REST.replace("5", "-5"),
    "a length with a sign": REST.replace("5", "+5"),
    "a length in hexadecimal": REST.replace("5", "0x5"),
    "a length with an underscore": REST.replace("5", "1_0"),
    "a length in other digits": REST.replace("5", "\xb2"),
    "an empty length": REST.replace("5", ""),
    "a length beyond all bodies": REST.replace("5", "9" * 13),
    "no host": REST.replace("Host: gateway\r\n", ""),
    "two hosts": REST + "\r\nHost: other",
    "no content type": REST.replace("Content-Type: application/json\r\n", ""),
    "another content type": REST.replace("/json", "/xml"),
    "two content types": REST + "\r\nContent-Type: application/json",
    "two user agents, which aiohttp refuses": REST + "\r\nUser-Agent: a\r\nUser-Agent: b",
    "two servers, which aiohttp refuses": REST + "\r\nServer: a\r\nServer: b",
    "chunked": REST + "\r\nTransfer-Encoding: chunked",
    "compressed": REST + "\r\nContent-Encoding: gzip",
    "an expectation": REST + "\r\nExpect: 100-continue",
    "an upgrade": REST + "\r\nUpgrade: websocket",
    "an old upgrade, which aiohttp refuses": REST + "\r\nSec-WebSocket-Key1: 1",
    "trailers": REST + "\r\nTrailer: X-Sum",
    "te": REST + "\r\nTE: trailers",
    "a browser": REST + "\r\nOrigin: https://app.example.com",
    "connection: close": REST + "\r\nConnection: close",
    "connection with more than keep-alive": REST + "\r\nConnection: keep-alive, te",
    "connection twice": REST + "\r\nConnection: keep-alive\r\nConnection: close",
    "an empty connection": REST + "\r\nConnection:",
    "a proxy's connection: close, which llhttp obeys": REST + "\r\nProxy-Connection: close",
    "two request ids": REST + "\r\nX-Request-ID: a\r\nX-Request-ID: b",
    "a forwarded header twice": REST + "\r\nTraceparent: a\r\nTraceparent: b",
    "a folded line": REST + "\r\n folded: 1",
    "a line that goes on with a tab": REST + "\r\n\tmore",
    "a blank before the colon": REST.replace("Length:", "Length :"),
    "no colon": REST + "\r\nX-Nothing",
    "no name": REST + "\r\n: value",
    "a name that is no token": REST + "\r\nX(y): 1",
    "a name beyond ASCII": REST + "\r\nX\xfc: 1",
    "LF alone": REST.replace("\r\n", "\n"),
    "LF inside a value": REST + "\r\nX-A: 1\nX-B: 2",
    "CR inside a value": REST + "\r\nX-A: 1\rX-B: 2",
    "NUL inside a value": REST + "\r\nX-A: 1\0",
    "a control character inside a value": REST + "\r\nX-A: 1\x0b",
    "DEL inside a value": REST + "\r\nX-A: 1\x7f",
    "an empty line": REST + "\r\n",
    "more headers than usual": REST + "\r\nX-A: 1" * 98,
}


@pytest.mark.parametrize("head", DECLINED.values(), ids=DECLINED)
def test_declined(head: str) -> None:
    assert read_hot_head(head.encode("latin-1")) is None


def test_heads_are_remembered_but_cannot_fill_the_memory() -> None:
    for number in range(3 * _CACHE_SIZE):
        assert read_hot_head(f"{REST}\r\nX-Number: {number}".encode()) == HotHead(5, None, b"")
        assert 0 < len(_cache) <= _CACHE_SIZE
    long = f"{REST}\r\nX-Long: {'l' * _LONGEST_CACHED}".encode()
    assert read_hot_head(long) == HotHead(5, None, b"")
    assert long not in _cache


# Whatever is accepted, aiohttp reads as the same request.


@dataclass(frozen=True)
class Parsed:
    message: RawRequestMessage
    body: bytes
    rest: bytes


class NoTransport(BaseProtocol):
    """aiohttp's parsers pause it when a body grows large."""


@pytest.fixture(scope="module")
def loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parse(
    kind: type, loop: asyncio.AbstractEventLoop, data: bytes
) -> list[tuple[RawRequestMessage, StreamReader]]:
    """Every message that one of aiohttp's parsers finds; raises what it raises."""
    parser = kind(
        NoTransport(loop), loop, 2**16, max_line_size=LIMIT, max_field_size=LIMIT, max_headers=MAX_HEADERS
    )
    messages, upgraded, tail = parser.feed_data(data)
    assert not upgraded
    assert not tail
    return list(messages)


FOLLOWER = b"GET /after HTTP/1.1\r\nHost: gateway\r\n\r\n"

names = st.sampled_from(
    [
        "Host",
        "Content-Type",
        "Content-Length",
        "Connection",
        "X-Request-ID",
        "Traceparent",
        "Tracestate",
        "OpenAI-Beta",
        "Idempotency-Key",
        "User-Agent",
        "Accept",
        "Authorization",
        "Cookie",
        "Server",
        "Etag",
        "Max-Forwards",
        "Content-Location",
        "Content-Range",
        "Proxy-Connection",
        "Keep-Alive",
        "Upgrade",
        "Transfer-Encoding",
        "TE",
        "Sec-WebSocket-Key1",
        "Content_Length",
        "Expect",
        "HTTP2-Settings",
    ]
) | st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}", fullmatch=True)
values = st.sampled_from(
    [
        "",
        "5",
        "005",
        "gateway",
        "close",
        "keep-alive",
        "chunked",
        "application/json",
        "gzip",
        "h2c",
        "a, b",
        '"',
    ]
) | st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=12)
blanks = st.sampled_from(["", " ", "\t", "  "])
lines = st.builds("{}:{}{}{}".format, names, blanks, values, blanks)
needed = st.permutations(REST.split("\r\n"))
heads = st.builds(
    lambda needed, more, at: "\r\n".join([*needed[:at], *more, *needed[at:]]),
    needed,
    st.lists(lines, max_size=6),
    st.integers(0, 3),
)


@pytest.mark.parametrize("kind", [HttpRequestParser, HttpRequestParserPy], ids=["C", "Python"])
@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(head=heads)
@example(head=REST)
@example(head=REST + "\r\nX-Name: Z\xfc\xff")
@example(head=REST + "\r\nX-A: 1" * 97)
@example(head=REST + "\r\nUser-Agent: a\r\nUser-Agent: b")
@example(head=REST + "\r\nProxy-Connection: close")
def test_aiohttp_reads_what_is_accepted_as_the_same_request(
    kind: type, loop: asyncio.AbstractEventLoop, head: str
) -> None:
    raw = head.encode("latin-1")
    hot = read_hot_head(raw)
    if hot is None:
        return
    body = b"x" * hot.content_length
    parsed = parse(kind, loop, HOT_LINE + raw + b"\r\n\r\n" + body + FOLLOWER)
    (message, payload), (after, _) = parsed
    assert (message.method, message.path, message.version) == ("POST", "/v1/chat/completions", (1, 1))
    assert not message.should_close
    assert not message.chunked
    assert not message.upgrade
    assert message.compression is None
    assert payload.is_eof()
    assert b"".join(payload._buffer) == body
    assert after.path == "/after", "both find the next request at the same byte"
    assert message.raw_headers == tuple(header(line) for line in raw.split(b"\r\n"))
    assert hot.request_id in (None, message.headers.get("X-Request-ID"))
    for line in hot.forwarded.split(b"\r\n")[:-1]:
        name, value = header(line)
        assert [content for known, content in message.raw_headers if known.lower() == name] == [value]


def header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


def test_most_of_the_heads_made_here_are_accepted_at_times() -> None:
    """The property above would hold for nothing if all were declined."""
    found = find(
        heads, lambda head: head.count("\r\n") > 4 and read_hot_head(head.encode("latin-1")) is not None
    )
    assert found
