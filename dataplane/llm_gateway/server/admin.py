"""The admin port: metrics, the configuration in force, health. For operators and Prometheus, not for applications."""

import asyncio
import json

from aiohttp import web
from aiohttp.typedefs import Handler

from llm_gateway.errors import GatewayError
from llm_gateway.reload import Reloader
from llm_gateway.server import health
from llm_gateway.server.door import Door
from llm_gateway.telemetry.exposition import CONTENT_TYPE, Exposition
from llm_gateway_config import CONTRACT, GatewayConfig


class Admin:
    """`started_with`: the settings that only a restart changes are compared with it."""

    def __init__(
        self, door: Door, exposition: Exposition, reloader: Reloader | None, started_with: GatewayConfig
    ) -> None:
        self._door = door
        self._exposition = exposition
        self._reloader = reloader
        self._started_with = started_with

    async def listen(self, host: str, port: int) -> web.AppRunner:
        """Raises OSError when the port cannot be had."""
        app = web.Application(middlewares=[_errors])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/config", self._config)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/live", self._live)
        app.router.add_get("/startup", self._startup)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner

    async def _metrics(self, request: web.Request) -> web.Response:
        # In a thread: thousands of series take long enough to be felt by the streams.
        text = await asyncio.get_running_loop().run_in_executor(None, self._exposition.render)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _config(self, request: web.Request) -> web.Response:
        runtime = self._door.gateway.runtime
        return _json(
            200,
            {
                "contract": CONTRACT,
                "revision": runtime.revision,
                "loaded_at": runtime.loaded_at,
                "unknown": list(runtime.unknown),
                "left_out": dict(runtime.left_out),
                "restart_required": restart_required(self._started_with, runtime.config),
                "refused": self._refused(),
                "config": runtime.config.model_dump(mode="json", exclude_none=True),
            },
        )

    def _refused(self) -> object:
        refused = self._reloader.refused if self._reloader is not None else None
        if refused is None:
            return None
        problems = [
            {"file": problem.file, "path": problem.path, "line": problem.line, "message": problem.message}
            for problem in refused.problems
        ]
        return {"revision": refused.revision, "at": refused.at, "problems": problems}

    async def _health(self, request: web.Request) -> web.Response:
        return _json(*health.health(self._door, detailed=request.query.get("detailed") == "true"))

    async def _ready(self, request: web.Request) -> web.Response:
        return _json(*health.ready(self._door))

    async def _live(self, request: web.Request) -> web.Response:
        return _json(*health.live())

    async def _startup(self, request: web.Request) -> web.Response:
        return _json(*health.startup(self._door.gateway))


def restart_required(started_with: GatewayConfig, now: GatewayConfig) -> list[str]:
    """Paths whose new value waits for a restart."""
    before, after = started_with.server, now.server
    names = ("host", "port", "metrics_port", "tls")
    return [f"server.{name}" for name in names if getattr(before, name) != getattr(after, name)]


def _json(status: int, content: object) -> web.Response:
    return web.Response(status=status, text=json.dumps(content), content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp's own 404 and 405, in the shape of all our errors."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        kind = "not_found_error" if error.status == 404 else "invalid_request_error"
        shown = GatewayError(f"{error.reason}: {request.path[:200]}", status=error.status, type=kind)
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.Response(
            status=error.status, body=shown.body(), content_type="application/json", headers=allow
        )
