"""HTTP/1.1 answers from bytes, without a socket (RFC 9112). What two parsers could read differently is an error.

Facts:
- Framing is decided by the head alone (section 6.3): no body for 1xx, 204 and 304; then chunked; then
  Content-Length; then everything up to the end of the connection. A Transfer-Encoding beside a Content-Length
  wins, and the connection is not used again, since somebody on the way may have framed by the other.
- Any number of 1xx answers may come before the real one. 101 cannot: no request asks to switch protocols.
- A chunk that arrives as exactly one read is by far the usual case on event streams.
"""

import re
from functools import lru_cache


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as it should; its connection cannot be used again."""


class LengthBody:
    __slots__ = ("_left", "done", "excess")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.excess = b""  # bytes after the end of the body

    def feed(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        payload = data
        if left < 0:
            payload, rest = data[: self._left], data[self._left :]
            self.excess += rest
        self._left = 0
        self.done = True
        return payload

    def at_eof(self) -> bool:
        """Whether the end of the connection here leaves a whole body."""
        return self.done


class EofBody:
    __slots__ = ("done", "excess")

    def __init__(self) -> None:
        self.done = False
        self.excess = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def at_eof(self) -> bool:
        self.done = True
        return True


_MAX_SIZE_LINE = 4096
_MAX_TRAILERS = 16384
_SIZE, _DATA, _END, _TRAILERS = range(4)
_size_line = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n\0]*)?\r\n").match
_size_line_begun = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*(?:;[^\r\n\0]*)?\r?\Z").match


@lru_cache(1024)
def _plain_size(line: bytes) -> int:
    """The size of a chunk that begins with this line; 0 for any line that is not just a size."""
    match = _size_line(line)
    return int(match[1], 16) if match and match[2] is None else 0


class ChunkedBody:
    """The chunked coding.

    After a feed, `aligned` says that the data was exactly whole chunks without extensions, from boundary to
    boundary and before the last chunk, so that it can be relayed with its framing.
    """

    __slots__ = ("_held", "_left", "_state", "_trailers", "aligned", "done", "excess")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0  # bytes missing of the current chunk's data
        self._held = b""  # an incomplete line
        self._trailers = 0  # their length so far
        self.aligned = False
        self.done = False
        self.excess = b""

    def feed(self, data: bytes) -> bytes:
        if self._state == _SIZE and not self._held:
            start = data.find(b"\n", 0, 20) + 1
            size = _plain_size(data[:start])
            if size and len(data) == start + size + 2 and data.endswith(b"\r\n"):
                self.aligned = True
                return data[start:-2]
        return self._feed(data)

    def at_eof(self) -> bool:
        return self.done

    def _feed(self, data: bytes) -> bytes:
        self.aligned = self._state == _SIZE and not self._held
        data, self._held = self._held + data, b""
        parts: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._state == _DATA:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = _END
                continue
            after = self._line(data, at)
            if after < 0:
                self._held = data[at:]
                break
            at = after
        if self.done:
            self.excess += data[at:]
        self.aligned = self.aligned and self._state == _SIZE and not self._held
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self, data: bytes, at: int) -> int:
        """Take the framing that begins at `at`; return the position after it, or -1 when it is incomplete."""
        if self._state == _SIZE:
            return self._size(data, at)
        if self._state == _TRAILERS:
            return self._trailer(data, at)
        crlf = data[at : at + 2]
        if crlf == b"\r\n":
            self._state = _SIZE
            return at + 2
        if crlf == b"\r":
            return -1
        raise ProtocolError("chunk data longer than its size")

    def _size(self, data: bytes, at: int) -> int:
        match = _size_line(data, at)
        if match is None:
            if len(data) - at > _MAX_SIZE_LINE or not _size_line_begun(data, at):
                raise ProtocolError("malformed chunk size")
            return -1
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        self.aligned = self.aligned and match[2] is None
        return match.end()

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        if self._trailers + (end or len(data)) - at > _MAX_TRAILERS:
            raise ProtocolError("trailers too long")
        if not end:
            return -1
        line = data[at:end]
        if not line.endswith(b"\r\n") or b"\0" in line:
            raise ProtocolError("malformed trailer")
        self._trailers += len(line)
        self.done = line == b"\r\n"
        return end


def chunk(data: bytes) -> bytes:
    """Frame one chunk. No data: no bytes, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


Body = LengthBody | ChunkedBody | EofBody


class ResponseHead:
    __slots__ = ("body", "headers", "keep_alive", "status")

    def __init__(self, status: int, headers: dict[bytes, bytes], body: Body, keep_alive: bool) -> None:
        self.status = status
        self.headers = headers  # names in lower case; values of equal names joined by ", "
        self.body = body
        self.keep_alive = keep_alive


_status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\0\r\n]*)?\Z").match
_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}\Z").match


def parse_head(buf: bytes | bytearray, limit: int = 65536) -> tuple[ResponseHead, int] | None:
    """The head of the final answer at the start of `buf`, and the position after it; None while incomplete.

    Interim answers before it are skipped and count for `limit`. Raises ProtocolError.
    """
    start = 0
    while True:
        end = buf.find(b"\r\n\r\n", start)
        if end < 0:
            _check_begun(buf, start, limit)
            return None
        if end + 4 > limit:
            raise ProtocolError("response head too long")
        head = bytes(buf[start:end])
        lines = head.split(b"\r\n")
        if len(head) - len(head.translate(None, b"\r\n\0")) != 2 * (len(lines) - 1):
            raise ProtocolError("CR, LF or NUL inside a line of the response head")
        status, http11 = _status(lines[0])
        start = end + 4
        if status >= 200:
            return _head(status, http11, _headers(lines)), start
        if status == 101:
            raise ProtocolError("answered 101 without being asked to switch protocols")


def _check_begun(buf: bytes | bytearray, start: int, limit: int) -> None:
    """Refuse early what cannot become a head, rather than wait for a peer that has said all it has to say."""
    if len(buf) > limit:
        raise ProtocolError("response head too long")
    begun = bytes(buf[start : start + 7])
    if not b"HTTP/1.".startswith(begun):
        raise ProtocolError("not an HTTP/1.1 answer")
    if buf.count(b"\n", start) != buf.count(b"\r\n", start):
        raise ProtocolError("a line of the response head ends without CR")


@lru_cache(256)
def _status(line: bytes) -> tuple[int, bool]:
    match = _status_line(line)
    if match is None:
        raise ProtocolError("malformed status line")
    return int(match[2]), match[1] == b"1"


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    del lines[0]
    for line in lines:
        raw, colon, value = line.partition(b":")
        if not colon:
            raise ProtocolError("a header line without a colon")
        name = _name(raw)
        value = value.strip(b" \t")
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


@lru_cache(1024)
def _name(raw: bytes) -> bytes:
    # Refuses folded lines and blanks before the colon, too. Cached: servers use few names, always spelled alike.
    if not _token(raw):
        raise ProtocolError("malformed header name")
    return raw.lower()


def _head(status: int, http11: bool, headers: dict[bytes, bytes]) -> ResponseHead:
    keep_alive = _keep_alive(http11, headers.get(b"connection", b""))
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    body: Body
    if status == 204 or status == 304:
        body = LengthBody(0)
    elif coding is not None:
        if coding.lower() != b"chunked":
            raise ProtocolError("unsupported transfer coding")
        body = ChunkedBody()
        keep_alive = keep_alive and http11 and length is None
    elif length is not None:
        body = LengthBody(_length(length))
    else:
        body = EofBody()
        keep_alive = False
    return ResponseHead(status, headers, body, keep_alive)


@lru_cache(64)
def _keep_alive(http11: bool, connection: bytes) -> bool:
    options = {option.strip(b" \t") for option in connection.lower().split(b",")}
    return b"close" not in options and (http11 or b"keep-alive" in options)


def _length(value: bytes) -> int:
    if value.isdigit() and len(value) <= 18:
        return int(value)
    # A list of equal numbers is allowed by RFC 9110, section 8.6: two hops that both wrote the header.
    values = {part.strip(b" \t") for part in value.split(b",")}
    if len(values) == 1 and (one := values.pop()).isdigit() and len(one) <= 18:
        return int(one)
    raise ProtocolError("malformed or conflicting Content-Length")
