"""The requests that aiohttp reads: chat completions in unusual shapes, and every other path."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp import web

from llm_gateway.errors import (
    BadRequest,
    GatewayError,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from llm_gateway.server import cors, health
from llm_gateway.server.connection import Connection
from llm_gateway.server.door import Door
from llm_gateway.server.hot_head import FORWARDED, request_id
from llm_gateway.server.stock import AlreadySent, owner_of

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
ENCODINGS = frozenset(("", "identity", "gzip", "deflate"))  # what aiohttp undoes without further libraries


class Router:
    """Called by aiohttp once per request; writes its answer through the connection."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._pages: Mapping[str, Callable[[web.BaseRequest], tuple[int, object]]] = {
            "/health": self._health,
            "/ready": self._ready,
            "/live": lambda _: health.live(),
            "/startup": lambda _: health.startup(door.gateway),
            MODELS: lambda _: (200, self._models()),
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = owner_of(request)
        if not isinstance(connection, Connection):
            return AlreadySent(keep_alive=False)
        connection.began_request(
            request_id(_value(request, "X-Request-ID")) or self._door.new_request_id(),
            close=not request.keep_alive or request.version < aiohttp.HttpVersion11,
            bodyless=request.method == "HEAD",
            headers=b"",
        )
        try:
            connection.headers += cors.headers(self._door.limits.cors, request.headers.get("Origin"))
            await self._answer(request, connection)
        except GatewayError as error:
            connection.answer_error(error)
        finally:
            connection.ended_request()
        await request.writer.drain()  # a client that reads no answers gets no further ones
        return AlreadySent(keep_alive=not connection.ends)

    async def _answer(self, request: web.BaseRequest, connection: Connection) -> None:
        self._check_head(request)
        path = request.rel_url.raw_path  # without the host, should it be there (RFC 9112, 3.2.2)
        if request.method == "OPTIONS" and "Origin" in request.headers and self._door.limits.cors is not None:
            connection.answer(200, cors.preflight())
        elif path == CHAT:
            _require(request, "POST")
            await self._chat(request, connection)
        else:
            page = self._page(path)
            _require(request, "GET", "HEAD")
            status, content = page(request)
            connection.answer(status, body=msgspec.json.encode(content))

    def _check_head(self, request: web.BaseRequest) -> None:
        """What aiohttp lets through: it bounds each line of a head, not their sum."""
        if request.version < aiohttp.HttpVersion10:
            raise BadRequest("malformed HTTP request: HTTP/1.1 is expected", code="bad_http_request")
        limit = self._door.limits.max_header_size
        if sum(len(name) + len(value) for name, value in request.raw_headers) > limit:
            raise BadRequest(
                f"the head is larger than the {limit} bytes of server.max_header_size", status=431
            )

    def _page(self, path: str) -> Callable[[web.BaseRequest], tuple[int, object]]:
        page = self._pages.get(path)
        if page is not None:
            return page
        if path.startswith(MODELS + "/"):
            return functools.partial(self._model, unquote(path[len(MODELS) + 1 :]))
        raise GatewayError(
            f"there is no {unquote(path)[:200]!r} here; chat completions are at {CHAT}",
            status=404,
            type="not_found_error",
            code="unknown_url",
        )

    # Pages.

    def _health(self, request: web.BaseRequest) -> tuple[int, object]:
        return health.health(self._door, detailed=request.query.get("detailed") == "true")

    def _ready(self, request: web.BaseRequest) -> tuple[int, object]:
        return health.ready(self._door)

    def _models(self) -> object:
        runtime = self._door.gateway.runtime
        return {
            "object": "list",
            "data": [_model(name, owner, runtime.loaded_at) for name, owner in runtime.models.items()],
        }

    def _model(self, name: str, request: web.BaseRequest) -> tuple[int, object]:
        runtime = self._door.gateway.runtime
        owner = runtime.models.get(name)
        if owner is None:
            runtime.routes.find(name)  # raises with the near names, unless it is a name like provider/model
            owner = name.partition("/")[0]
        return 200, _model(name, owner, runtime.loaded_at)

    # Chat.

    async def _chat(self, request: web.BaseRequest, connection: Connection) -> None:
        received = self._door.clock.now()
        try:
            self._check_chat(request)
            if "Expect" in request.headers:
                connection.go_on()
            body = await self._body(request)
        except GatewayError as error:
            connection.unread(received, error)
            raise
        await connection.complete(body, _forwarded(request), unframed=request.version < aiohttp.HttpVersion11)

    def _check_chat(self, request: web.BaseRequest) -> None:
        """What the head alone tells: a body that will not be read need not be sent."""
        kind = request.content_type if "Content-Type" in request.headers else "application/json"
        if kind != "application/json" and not kind.endswith("+json"):
            raise UnsupportedMediaType(f"Content-Type must be application/json, is {kind[:100]!r}")
        if request.headers.get("Content-Encoding", "").lower() not in ENCODINGS:
            raise UnsupportedMediaType("Content-Encoding must be gzip, deflate or identity")
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            raise BadRequest("the only expectation that can be met is 100-continue", status=417)
        limit = self._door.limits.max_request_body_size
        if (request.content_length or 0) > limit:
            raise _too_large(limit)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The body, decompressed, in as many reads as it takes; each must bring something in time."""
        limit = self._door.limits.max_request_body_size
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                async with asyncio.timeout(self._door.limits.header_timeout):
                    part = await request.content.readany()
                if not part:
                    return b"".join(parts)
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
        except TimeoutError as error:
            raise RequestTimeout("the body did not arrive in time") from error
        except (
            web.RequestPayloadError,
            aiohttp.ClientError,
            aiohttp.http_exceptions.HttpProcessingError,
        ) as error:
            raise BadRequest(
                "the body cannot be read as its headers describe it", code="bad_http_request"
            ) from error


def _require(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise MethodNotAllowed(
            f"{request.method[:20]} is not allowed here, {' and '.join(methods)} is", methods
        )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than the {limit} bytes of server.max_request_body_size")


def _model(name: str, owner: str, created: float) -> object:
    return {"id": name, "object": "model", "created": int(created), "owned_by": owner}


def _value(request: web.BaseRequest, name: str) -> bytes | None:
    value = request.headers.get(name)
    return value.encode("utf-8", "surrogateescape") if value is not None else None


def _forwarded(request: web.BaseRequest) -> bytes:
    """The headers that a provider may see, as whole lines."""
    names = sorted(name.decode("ascii") for name in FORWARDED)
    values = ((name.encode("ascii"), _value(request, name)) for name in names)
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in values if value is not None)
