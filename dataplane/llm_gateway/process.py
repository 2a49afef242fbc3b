"""One process: starts the listeners, keeps the document fresh, and ends in order."""

import asyncio
import functools
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from llm_gateway.drive import Clock
from llm_gateway.reload import Reloader
from llm_gateway.runtime import Gateway, build
from llm_gateway.server.admin import Admin
from llm_gateway.server.door import Door
from llm_gateway.server.listener import Listener
from llm_gateway.server.tls import ServingTls
from llm_gateway.telemetry.exposition import Exposition
from llm_gateway.telemetry.instruments import Instruments
from llm_gateway.telemetry.log import RequestLog, set_level
from llm_gateway.upstream.registry import Upstreams
from llm_gateway.version import VERSION
from llm_gateway_config import Loaded, LogLevel, load_file

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SECOND_SIGNAL = 130  # exit code, as a shell reports an interrupt


class CannotStart(Exception):
    """The message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What command line and environment say over the document; None: nothing."""

    host: str | None
    port: int | None
    metrics_port: int | None
    log_level: str | None
    stop_with_stdin: bool
    env: Mapping[str, str]

    def over(self, loaded: Loaded) -> Loaded:
        """The document as it is in force."""
        config = loaded.config
        own = {"host": self.host, "port": self.port, "metrics_port": self.metrics_port}
        server = config.server.model_copy(
            update={name: value for name, value in own.items() if value is not None}
        )
        log = config.telemetry.log
        if self.log_level is not None:
            log = log.model_copy(update={"level": LogLevel(self.log_level)})
        telemetry = config.telemetry.model_copy(update={"log": log})
        return replace(loaded, config=config.model_copy(update={"server": server, "telemetry": telemetry}))


async def serve(path: Path | None, loaded: Loaded, settings: Settings, log: RequestLog) -> None:
    """Serve until a signal ends it. `path`: the document to watch, None when there is no file."""
    process = _Process(loaded, settings, log)
    await process.start(path)
    try:
        await process.stopped.wait()
    finally:
        await process.end()


class _Process:
    def __init__(self, loaded: Loaded, settings: Settings, log: RequestLog) -> None:
        self.stopped = asyncio.Event()
        self._signals = 0
        self._loaded = loaded
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = Clock(self._loop)
        self._upstreams = Upstreams(self._clock)
        self._instruments = Instruments(VERSION)
        self._log = log
        log.count_drops_in(self._instruments.log_lines_dropped)
        try:
            runtime = build(loaded, self._upstreams)
        except OSError as error:
            raise CannotStart(str(error)) from error
        self._gateway = Gateway(self._clock, runtime, self._instruments, log, _report)
        self._door = Door(self._gateway)
        self._listener = Listener(self._door)
        self._tls = self._load_tls()
        self._admin: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, path: Path | None) -> None:
        config = self._loaded.config.server
        host = config.host or LOOPBACK
        context = self._tls.context if self._tls is not None else None
        port = await self._listen(host, config.port, context)
        reloader = None
        if path is not None:
            others = dict.fromkeys(self._tls.paths, self._tls.reload) if self._tls is not None else {}
            load = functools.partial(self._load, path)
            reloader = Reloader(
                path, self._loaded, self._gateway, self._upstreams, load, self._applied, others
            )
            self._tasks.append(self._loop.create_task(reloader.run()))
        await self._listen_admin(host, config.metrics_port, reloader)
        self._clock.every_tick(self._upstreams.prune)
        self._clock.start()
        self._watch_signals()
        self._instruments.use_revision(self._gateway.runtime.revision)
        self._announce(host, port)
        # What was made until here stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)

    def _load(self, path: Path) -> Loaded:
        return self._settings.over(load_file(path, self._settings.env))

    def _applied(self, loaded: Loaded) -> None:
        log = loaded.config.telemetry.log
        set_level(self._log, log.level, log.format)

    def _load_tls(self) -> ServingTls | None:
        tls = self._loaded.config.server.tls
        if tls is None:
            return None
        try:
            return ServingTls(tls)
        except OSError as error:
            files = f"{tls.cert_path} and {tls.key_path}"
            raise CannotStart(f"server.tls: {files} cannot be used: {error.strerror or error}") from error

    async def _listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        try:
            return await self._listener.listen(host, port, context)
        except OSError as error:
            raise CannotStart(_no_port(host, port, "PORT or server.port", error)) from error

    async def _listen_admin(self, host: str, port: int, reloader: Reloader | None) -> None:
        admin = Admin(self._door, Exposition(self._instruments.registry), reloader, self._loaded.config)
        try:
            self._admin = await admin.listen(host, port)
        except OSError as error:
            raise CannotStart(_no_port(host, port, "METRICS_PORT or server.metrics_port", error)) from error
        self._metrics_port = self._admin.addresses[0][1]

    def _announce(self, host: str, port: int) -> None:
        runtime = self._gateway.runtime
        scheme = "https" if self._tls is not None else "http"
        logger.info(
            "serving on %s://%s:%d, metrics and admin on port %d", scheme, host, port, self._metrics_port
        )
        logger.info("configuration %s, %d models", runtime.revision, len(runtime.models))
        if not _is_loopback(host):
            logger.warning(
                "open to all: there is no authentication, who reaches %s:%d spends your keys", host, port
            )

    # The end.

    def _watch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        if self._settings.stop_with_stdin:
            self._tasks.append(self._loop.create_task(self._wait_for_stdin()))

    def _stop(self) -> None:
        self._signals += 1
        if self._signals > 1:
            logger.warning("a second signal: ending at once")
            self._gateway.log.close()
            os._exit(SECOND_SIGNAL)
        self.stopped.set()

    async def _wait_for_stdin(self) -> None:
        """The parent holds the other end: when it is gone, however it went, so are we."""
        reader = asyncio.StreamReader()
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        try:
            while await reader.read(1024):
                pass
        finally:
            transport.close()
        self.stopped.set()

    async def end(self) -> None:
        """Drain; the admin port answers to the end."""
        config = self._gateway.limits
        logger.info("draining: requests have %g s to end", config.graceful_shutdown_timeout)
        await self._listener.drain(config.shutdown_delay, config.graceful_shutdown_timeout)
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                _report(outcome)
        self._upstreams.retain(set())
        self._clock.stop()
        if self._admin is not None:
            await self._admin.cleanup()
        logger.info("ended")


def _report(error: BaseException, request_id: str = "") -> None:
    logger.error("unexpected error%s", f" in {request_id}" if request_id else "", exc_info=error)


def _no_port(host: str, port: int, setting: str, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"port {port} needs privileges this process has not; choose another with {setting}"
    if "address already in use" in str(error).lower():
        return f"port {port} on {host} is in use; choose another with {setting}"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def _is_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return host == "::1"
