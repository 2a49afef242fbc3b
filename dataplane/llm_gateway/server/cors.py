"""Cross-origin requests of browsers (the Fetch standard's CORS protocol), for the origins that server.cors names."""

from llm_gateway_config import Cors

MAX_AGE = 600  # seconds a browser may remember a preflight


def headers(cors: Cors | None, origin: str | None) -> bytes:
    """Header lines that let a page of `origin` read an answer; none where it may not."""
    if cors is None or origin is None or not ("*" in cors.allow_origins or origin in cors.allow_origins):
        return b""
    return (
        b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n"
        b"Access-Control-Expose-Headers: X-Request-ID, X-Upstream-Request-ID, Retry-After\r\n"
        % (b"*" if "*" in cors.allow_origins else origin.encode())
    )


def preflight() -> bytes:
    return (
        b"Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
        b"Access-Control-Allow-Headers: Authorization, Content-Type, X-API-Key, X-Request-ID, *\r\n"
        b"Access-Control-Max-Age: %d\r\n" % MAX_AGE
    )
