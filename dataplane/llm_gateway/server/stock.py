"""aiohttp's request handler behind a `Connection`: it reads every request that is not the hot shape.

It parses and routes; what it would write itself (its errors) is written by the connection, so that all answers alike
are JSON errors of OpenAI's shape.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from llm_gateway.errors import BadRequest, GatewayError, Internal
from llm_gateway_config import Server as ServerConfig

MAX_HEADERS = 128


class AlreadySent(web.StreamResponse):
    """Tells aiohttp that the response has gone out, and whether the connection stays."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None

    @property
    def keep_alive(self) -> bool:
        return self._stays


class Owner(Protocol):
    """The connection that a handler reads for."""

    def began_request(self, request_id: str, *, close: bool, bodyless: bool, headers: bytes) -> None: ...

    def answer_error(self, error: GatewayError) -> None: ...

    def report(self, error: BaseException) -> None: ...


def owner_of(request: web.BaseRequest) -> asyncio.BaseProtocol | None:
    """The connection that a request came in on; None when it is closed by now."""
    transport = request.transport
    return None if transport is None or transport.is_closing() else transport.get_protocol()


class StockHandler(web.RequestHandler):
    __slots__ = ()

    def detach(self) -> None:
        """End this handler, not the connection, which its owner closes."""
        self.transport = None
        self.connection_lost(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp calls this for what it cannot parse (400) and for what a handler did not catch (500)."""
        owner = owner_of(request)
        if owner is None:
            raise ConnectionResetError("the client has left")
        connection = cast(Owner, owner)
        error: GatewayError
        if status >= 500:
            connection.report(exc or RuntimeError(message))
            error = Internal("the gateway failed; its log has the reason under this request id")
        else:
            reason = (message or "the request cannot be read").split("\n", 1)[0].strip().rstrip(":")
            error = BadRequest(f"malformed HTTP request: {reason}", status=status, code="bad_http_request")
            if exc is not None:
                exc.__traceback__ = None  # its frames hold the connection: a cycle
            # Nothing of the request before may show: not its id, not that its answer had begun.
            connection.began_request("", close=True, bodyless=False, headers=b"")
        connection.answer_error(error)
        return AlreadySent(keep_alive=False)


class StockServer(web.Server):
    """Makes the handlers, each with the limits in force when it is made."""

    def __init__(
        self, handler: Any, *, loop: asyncio.AbstractEventLoop, limits: Callable[[], ServerConfig]
    ) -> None:
        super().__init__(handler, loop=loop)
        self._handlers_loop = loop
        self._limits = limits

    def __call__(self) -> StockHandler:
        limits = self._limits()
        return StockHandler(
            self,
            loop=self._handlers_loop,
            max_line_size=limits.max_header_size,
            max_field_size=limits.max_header_size,
            max_headers=MAX_HEADERS,
            keepalive_timeout=limits.keep_alive_timeout,
            access_log=None,  # type: ignore[arg-type]  # as documented
            tcp_keepalive=True,
        )
