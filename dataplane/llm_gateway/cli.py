"""The command `llm-gateway`. Exit codes: 0 ended as asked, 1 cannot start or the document is refused, 2 wrong usage."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop

from llm_gateway import environment
from llm_gateway.process import CannotStart, Settings, serve
from llm_gateway.telemetry.log import configure_logging
from llm_gateway.version import VERSION
from llm_gateway_config import Loaded, LogLevel, Refused, json_schema, load_file, load_text, show

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    env = os.environ
    if arguments.command == "schema":
        print(json.dumps(json_schema(), indent=2))
        return 0
    path = environment.find_file(arguments.config, env)
    try:
        loaded = _load(path, env, strict=arguments.validate)
        settings = _settings(arguments, env)
        loaded = settings.over(loaded)
    except Refused as error:
        return _fail(*map(str, error.problems))
    except CannotStart as error:
        return _fail(str(error))
    if arguments.validate:
        return _validated(path, loaded)
    if arguments.show_config:
        print(show(loaded.config), end="")
        return 0
    return _serve(path, loaded, settings)


def _serve(path: Path | None, loaded: Loaded, settings: Settings) -> int:
    config = loaded.config.telemetry.log
    log = configure_logging(config.level, config.format, sys.stdout)
    _tell(path, loaded, settings.env)
    _raise_descriptors(loaded.config.server.max_connections)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(path, loaded, settings, log))
    except CannotStart as error:
        log.close()
        return _fail(str(error))
    log.close()
    return 0


def _raise_descriptors(connections: int) -> None:
    """Two sockets a request, and some files: the usual soft limit of 1024 is soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY and soft < 2 * connections:
        logger.warning("%d open files are allowed, %d connections may need twice as many", soft, connections)


def _load(path: Path | None, env: Mapping[str, str], *, strict: bool) -> Loaded:
    if path is not None:
        return load_file(path, env, strict=strict)
    text = environment.document(env)
    if text is None:
        raise CannotStart(environment.nothing_found())
    return load_text(text, source="environment", env=env, base=None)


def _tell(path: Path | None, loaded: Loaded, env: Mapping[str, str]) -> None:
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    if path is None:
        logger.info("no gateway.yaml: serving what the environment names: %s", environment.table())
    for name in environment.UNUSED:
        if env.get(name):
            logger.warning("%s is set, but this version has nothing that uses it", name)


def _validated(path: Path | None, loaded: Loaded) -> int:
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{path or 'environment'}: valid, revision {loaded.revision}")
    return 0


def _settings(arguments: argparse.Namespace, env: Mapping[str, str]) -> Settings:
    return Settings(
        host=arguments.host,
        port=_port(arguments.port, "--port", env, "PORT"),
        metrics_port=_port(arguments.metrics_port, "--metrics-port", env, "METRICS_PORT"),
        log_level=_level(arguments.log_level, "--log-level", env),
        stop_with_stdin=arguments.stop_with_stdin,
        env=env,
    )


def _port(given: str | None, flag: str, env: Mapping[str, str], variable: str) -> int | None:
    text, name = (given, flag) if given is not None else (env.get(variable) or None, variable)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise CannotStart(f"{name} must be a port from 0 to 65535, is {text!r}")
    return int(text)


def _level(given: str | None, flag: str, env: Mapping[str, str]) -> str | None:
    text, name = (given, flag) if given is not None else (env.get("LOG_LEVEL") or None, "LOG_LEVEL")
    known = [level.value for level in LogLevel]
    if text is not None and text.lower() not in known:
        raise CannotStart(f"{name} must be one of: {', '.join(known)}; is {text!r}")
    return text.lower() if text is not None else None


def _fail(*lines: str) -> int:
    for line in lines:
        print(f"llm-gateway: {line}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-gateway", description="One OpenAI-compatible endpoint for every LLM provider."
    )
    parser.add_argument("--version", action="version", version=f"llm-gateway {VERSION}")
    parser.add_argument(
        "--config", metavar="FILE", help="gateway.yaml (default: $GATEWAY_CONFIG, then the usual places)"
    )
    parser.add_argument("--host", help="address to listen on (default: server.host, else 127.0.0.1)")
    parser.add_argument("--port", help="port of the API (default: $PORT, then server.port)")
    parser.add_argument(
        "--metrics-port", help="port of metrics and admin (default: $METRICS_PORT, then server.metrics_port)"
    )
    parser.add_argument(
        "--log-level", help="debug, info, warning or error (default: $LOG_LEVEL, then telemetry.log.level)"
    )
    parser.add_argument(
        "--validate", action="store_true", help="check the document, unknown fields included, and exit"
    )
    parser.add_argument(
        "--show-config",
        action="store_true",
        help="print the whole document in force, secrets as ***, and exit",
    )
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when standard input is closed")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("schema", help="print the JSON Schema of gateway.yaml, for editors")
    return parser
