"""Recognises the one shape of request that is served without aiohttp, and declines everything else.

Declining is always right: aiohttp then reads the same bytes. Accepting must therefore be narrow: exactly this request
line, plain header lines that end in CRLF, one Content-Length of digits, and none of the headers that change how a
message is framed or answered.
"""

import re
from dataclasses import dataclass

HOT_LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(rb"[0-9]{1,12}")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")

# Framing, negotiation and browsers: aiohttp's way handles them.
_DECLINED = frozenset(
    (
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"te",
        b"trailer",
        b"origin",
        b"connection",
        b"proxy-connection",  # llhttp obeys it as it does Connection
        b"sec-websocket-key1",
    )
)
# Of these aiohttp refuses a second one, or we would have to choose.
_SINGLE = frozenset(
    (
        b"connection",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"etag",
        b"host",
        b"max-forwards",
        b"server",
        b"user-agent",
        b"x-request-id",
    )
)
# What a provider may see of a client's headers: never credentials, never cookies.
FORWARDED = frozenset((b"idempotency-key", b"openai-beta", b"traceparent", b"tracestate"))

_CACHE_SIZE = 512
_LONGEST_CACHED = 4096  # bytes: the cache must not hold megabytes of what one client made up
_MAX_LINES = 100  # aiohttp refuses more than 128, counted in more than one way


@dataclass(frozen=True, slots=True)
class HotHead:
    """`forwarded` holds whole header lines for the upstream request."""

    content_length: int
    request_id: str | None
    forwarded: bytes


_cache: dict[bytes, HotHead | None] = {}


def read_hot_head(head: bytes) -> HotHead | None:
    """The header lines between the request line and the empty line, or None when this is not the hot shape.

    Clients repeat their heads to the letter, so the last few hundred are remembered.
    """
    try:
        return _cache[head]
    except KeyError:
        if len(head) > _LONGEST_CACHED:
            return _read(head)
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        found = _cache[head] = _read(head)
        return found


def _read(head: bytes) -> HotHead | None:
    headers: dict[bytes, bytes] = {}
    lines = head.split(b"\r\n")
    if len(lines) > _MAX_LINES:
        return None
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        name = match[1].lower()
        if name in headers and (name in FORWARDED or name in _SINGLE):
            return None
        headers[name] = match[2].strip(b" \t")
    connection = headers.pop(b"connection", b"keep-alive")
    if connection.lower() != b"keep-alive" or not headers.keys().isdisjoint(_DECLINED):
        return None
    if not _LENGTH.fullmatch(headers.get(b"content-length", b"")) or b"host" not in headers:
        return None
    if headers.get(b"content-type", b"").split(b";", 1)[0].strip().lower() != b"application/json":
        return None
    forwarded = b"".join(b"%b: %b\r\n" % (name, headers[name]) for name in sorted(FORWARDED & headers.keys()))
    return HotHead(int(headers[b"content-length"]), request_id(headers.get(b"x-request-id")), forwarded)


def request_id(value: bytes | None) -> str | None:
    """A client's X-Request-ID when it is safe to log and to echo: at most 128 plain characters."""
    return value.decode("ascii") if value is not None and _REQUEST_ID.fullmatch(value) else None
