"""Log lines as bytes: one line per finished request, one per message of Python's logging. Pure.

JSON lines hold what log processors filter on; a field that has nothing to say is left out, the others are in
every line. `tokens.input` is without `tokens.cached_input`, as in the metrics; `total` is the upstream's sum.
Pretty lines are for people at a terminal; they carry no control character that came from outside.
"""

import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from llm_gateway.telemetry.record import RequestRecord

if TYPE_CHECKING:
    from llm_gateway.wire.chat import Usage

Shape = Literal["json", "pretty", "coloured"]


class _Tokens(msgspec.Struct, omit_defaults=True):
    input: int
    output: int
    total: int
    cached_input: int = 0
    reasoning: int = 0
    estimated: bool = False


class _RequestLine(msgspec.Struct, omit_defaults=True):
    timestamp: str
    level: str
    message: str
    request_id: str
    model: str
    provider: str
    status: str
    code: str
    http_status: int
    duration_ms: float
    attempts: int
    stream: bool
    bytes_out: int
    client: str
    target_model: str = ""
    tokens: _Tokens | None = None
    cost_dollars: float | None = None
    time_to_first_token_ms: float | None = None
    overhead_ms: float | None = None
    interrupted: str | None = None
    native_finish_reason: str | None = None
    error: str = ""


class _MessageLine(msgspec.Struct, omit_defaults=True):
    timestamp: str
    level: str
    message: str
    logger: str
    error: str = ""


_encoder = msgspec.json.Encoder()


def request_line(record: RequestRecord, wall_offset: float, shape: Shape) -> bytes:
    """One line with its newline. `wall_offset`: what to add to `time.monotonic()` to get Unix time."""
    ended = record.ended + wall_offset
    return _request_json(record, ended) if shape == "json" else _request_pretty(record, ended, shape)


def message_line(record: logging.LogRecord, shape: Shape) -> bytes:
    """One line with its newline; a traceback makes a pretty one several."""
    error = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    message = record.getMessage()
    if shape == "json":
        when = timestamp(record.created)
        return _encoder.encode(_MessageLine(when, record.levelname, message, record.name, error)) + b"\n"
    head = f"{_clock(record.created)} {_level(record.levelname, shape)} {_printable(message)}"
    lines = [head, *(_printable(line) for line in error.splitlines())]
    return "\n".join([*lines, ""]).encode("utf-8", "replace")


def timestamp(unix: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    seconds, milliseconds = divmod(int(unix * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _clock(unix: float) -> str:
    """Local time of day: the reader's own clock stands beside the terminal."""
    return time.strftime("%H:%M:%S", time.localtime(unix))


def _request_level(record: RequestRecord) -> str:
    return "ERROR" if record.status == "error" else "INFO"


def _milliseconds(seconds: float) -> float:
    # To the microsecond; round() takes three times as long.
    return int(seconds * 1e6) / 1e3


def _tokens(usage: "Usage") -> _Tokens:
    uncached = usage.prompt - usage.cached
    return _Tokens(uncached, usage.completion, usage.total, usage.cached, usage.reasoning, usage.estimated)


def _request_json(record: RequestRecord, ended: float) -> bytes:
    first, overhead = record.first_token, record.overhead
    # By position, in the order of the fields: by name costs twice as much.
    line = _RequestLine(
        timestamp(ended),
        _request_level(record),
        "request",
        record.request_id,
        record.model,
        record.provider,
        record.status,
        record.code,
        record.http_status,
        _milliseconds(record.ended - record.started),
        record.attempts,
        record.stream,
        record.bytes_out,
        record.client,
        record.target_model,
        None if record.usage is None else _tokens(record.usage),
        None if record.cost is None else float(record.cost),
        None if first is None else _milliseconds(first - record.started),
        None if overhead is None else _milliseconds(overhead),
        record.interrupted,
        record.unknown_finish,
        record.error,
    )
    return _encoder.encode(line) + b"\n"


def _request_pretty(record: RequestRecord, ended: float, shape: Shape) -> bytes:
    head = f"{_clock(ended)} {_level(_request_level(record), shape)} {record.http_status} "
    parts = [record.model]
    if record.provider:
        parts.append(f"-> {record.provider}/{record.target_model}")
    parts.append(f"{record.ended - record.started:.3f}s")
    if record.stream and record.first_token is not None:
        parts.append(f"(first token {record.first_token - record.started:.3f}s)")
    if record.usage is not None:
        about = "~" if record.usage.estimated else ""
        parts.append(f"{about}{record.usage.prompt}+{record.usage.completion} tokens")
    if record.attempts > 1:
        parts.append(f"{record.attempts} attempts")
    if record.unknown_finish is not None:
        parts.append(f"finished by {record.unknown_finish!r}")
    parts.append(record.request_id)
    if record.error:
        parts.append(f"{record.code}: {record.error}")
    elif record.code != "ok":
        parts.append(record.code)
    return f"{head}{_printable(' '.join(parts))}\n".encode("utf-8", "replace")


_COLOURS = {"DEBUG": 36, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 31}


def _level(name: str, shape: Shape) -> str:
    padded = f"{name:<7}"
    return f"\x1b[{_COLOURS.get(name, 0)}m{padded}\x1b[0m" if shape == "coloured" else padded


def _printable(text: str) -> str:
    """Nothing from outside may steer the terminal or start a line of its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
