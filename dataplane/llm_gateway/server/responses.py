"""Responses as bytes: heads, chunks, error bodies. One place builds what a client reads."""

import http
from email.utils import formatdate

from llm_gateway.errors import GatewayError, MethodNotAllowed

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"

_REASONS = {status.value: status.phrase.encode("ascii") for status in http.HTTPStatus}


class HeadWriter:
    """Builds response heads. The Date header (RFC 9110, 6.6.1) is made anew by `tick`, not by each response."""

    def __init__(self) -> None:
        self._date = b""
        self.tick()

    def tick(self) -> None:
        self._date = f"Date: {formatdate(usegmt=True)}\r\n".encode("ascii")

    def whole(
        self, status: int, content_type: bytes, request_id: str, length: int, extra: bytes, close: bool
    ) -> bytes:
        """A response with a body of `length` bytes; `extra` are whole header lines."""
        return (
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nX-Request-ID: %b\r\n%b%b%b\r\n"
            % (
                status,
                _REASONS.get(status, b"Unknown"),
                content_type,
                length,
                request_id.encode("ascii"),
                self._date,
                extra,
                b"Connection: close\r\n" if close else b"",
            )
        )

    def stream(self, request_id: str, extra: bytes, *, chunked: bool, close: bool) -> bytes:
        """The head of a server-sent event stream. X-Accel-Buffering: nginx in front must not collect events."""
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
            b"X-Request-ID: %b\r\n%b%b%b%b\r\n"
            % (
                EVENT_STREAM,
                request_id.encode("ascii"),
                self._date,
                extra,
                b"Transfer-Encoding: chunked\r\n" if chunked else b"",
                b"Connection: close\r\n" if close or not chunked else b"",
            )
        )


def error_headers(error: GatewayError) -> bytes:
    """Header lines that belong to an error: Retry-After in whole seconds, at least 1; Allow (RFC 9110, 15.5.6)."""
    if isinstance(error, MethodNotAllowed):
        return f"Allow: {', '.join(error.allowed)}\r\n".encode("ascii")
    if error.retry_after is None:
        return b""
    return b"Retry-After: %d\r\n" % max(1, -int(-error.retry_after // 1))


def error_event(error: GatewayError) -> bytes:
    """How a stream ends that can no longer answer with a status. Never followed by [DONE]."""
    return b"data: %b\n\n" % error.body()
