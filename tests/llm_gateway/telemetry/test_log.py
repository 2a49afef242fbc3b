"""The log: lines that tools can filter, people can read, and no slow output can hold up."""

import io
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from llm_gateway.telemetry.lines import message_line, request_line, timestamp
from llm_gateway.telemetry.log import RequestLog, configure_logging, set_level
from llm_gateway.telemetry.metrics import CounterChild
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.wire.chat import Usage

# 2025-11-25T09:22:00Z, as an offset of a monotonic clock that stands at 1000 then.
OFFSET = 1764062520.0 - 1000.0


def finished(**fields: object) -> RequestRecord:
    record = RequestRecord("req_1", 999.0, "10.0.0.9", "chat", ended=1000.0)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def parsed(record: RequestRecord) -> dict[str, object]:
    line = request_line(record, OFFSET, "json")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    fields: dict[str, object] = json.loads(line)
    return fields


def test_a_whole_json_line() -> None:
    record = finished(
        provider="openai",
        target_model="gpt-4o",
        stream=True,
        attempts=2,
        first_token=999.25,
        overhead=0.000081,
        usage=Usage(prompt=100, completion=20, total=120, cached=60, reasoning=5, estimated=False),
        cost=Decimal("0.00125"),
        bytes_out=4096,
    )
    assert parsed(record) == {
        "timestamp": "2025-11-25T09:22:00.000Z",
        "level": "INFO",
        "message": "request",
        "request_id": "req_1",
        "model": "chat",
        "provider": "openai",
        "target_model": "gpt-4o",
        "status": "success",
        "code": "ok",
        "http_status": 200,
        "tokens": {"input": 40, "cached_input": 60, "output": 20, "reasoning": 5, "total": 120},
        "cost_dollars": 0.00125,
        "duration_ms": 1000.0,
        "time_to_first_token_ms": 250.0,
        "overhead_ms": 0.081,
        "attempts": 2,
        "stream": True,
        "bytes_out": 4096,
        "client": "10.0.0.9",
    }


LEVELS = {
    "a success is INFO": (finished(), "INFO"),
    "the caller's mistake is INFO": (finished(status="client_error", code="model_not_found"), "INFO"),
    "the gateway's or upstream's fault is ERROR": (finished(status="error", error="timed out"), "ERROR"),
}


@pytest.mark.parametrize("sentence", LEVELS)
def test_the_level_of_a_request(sentence: str) -> None:
    record, level = LEVELS[sentence]
    assert parsed(record)["level"] == level


def test_what_did_not_happen_is_left_out() -> None:
    absent = {
        "tokens",
        "cost_dollars",
        "time_to_first_token_ms",
        "overhead_ms",
        "interrupted",
        "native_finish_reason",
        "error",
        "target_model",
    }
    assert not absent & parsed(finished()).keys()


def test_a_finish_reason_of_the_upstreams_own_is_told() -> None:
    record = finished(unknown_finish="abort", interrupted="client", error="gone")
    line = parsed(record)
    assert (line["native_finish_reason"], line["interrupted"], line["error"]) == ("abort", "client", "gone")


def test_an_estimate_is_marked() -> None:
    usage = Usage(prompt=1, completion=2, total=3, cached=0, reasoning=0, estimated=True)
    assert parsed(finished(usage=usage))["tokens"] == {"input": 1, "output": 2, "total": 3, "estimated": True}


PRETTY = {
    "a plain success": (
        finished(provider="mock", target_model="echo"),
        "INFO    200 chat -> mock/echo 1.000s req_1",
    ),
    "a stream with tokens after a failover": (
        finished(
            provider="mock",
            target_model="echo",
            stream=True,
            attempts=2,
            first_token=999.25,
            usage=Usage(prompt=9, completion=3, total=12, cached=0, reasoning=0, estimated=True),
        ),
        "INFO    200 chat -> mock/echo 1.000s (first token 0.250s) ~9+3 tokens 2 attempts req_1",
    ),
    "an error tells code and message": (
        finished(status="error", http_status=504, code="provider_timeout", error="timed out"),
        "ERROR   504 chat 1.000s req_1 provider_timeout: timed out",
    ),
    "a finish reason of the upstream's own": (
        finished(provider="mock", target_model="echo", unknown_finish="abort"),
        "INFO    200 chat -> mock/echo 1.000s finished by 'abort' req_1",
    ),
    "control characters cannot steer the terminal": (
        finished(status="error", http_status=502, code="provider_error", error="a\x1b[2Jb\nc"),
        "ERROR   502 chat 1.000s req_1 provider_error: a\ufffd[2Jb\ufffdc",
    ),
}


@pytest.mark.parametrize("sentence", PRETTY)
def test_pretty_lines(sentence: str) -> None:
    record, expected = PRETTY[sentence]
    line = request_line(record, OFFSET, "pretty").decode()
    assert re.fullmatch(r"\d\d:\d\d:\d\d " + re.escape(expected) + "\n", line)


def test_colour_is_around_the_level_only() -> None:
    line = request_line(finished(status="error", error="x"), OFFSET, "coloured").decode()
    assert "\x1b[31mERROR  \x1b[0m 200 chat" in line


TIMES = {
    "the epoch": (0.0, "1970-01-01T00:00:00.000Z"),
    "milliseconds are cut, not rounded into the next second": (1764062520.9999, "2025-11-25T09:22:00.999Z"),
}


@pytest.mark.parametrize("sentence", TIMES)
def test_timestamps(sentence: str) -> None:
    unix, expected = TIMES[sentence]
    assert timestamp(unix) == expected


def message(text: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("llm_gateway.reload", logging.WARNING, "f.py", 1, text, args, info)


def test_a_message_of_logging_is_a_json_line_too() -> None:
    fields = json.loads(message_line(message("listening on %d", 8080, error=RuntimeError("boom")), "json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("timestamp"))
    assert "RuntimeError: boom" in fields.pop("error")
    assert fields == {"level": "WARNING", "message": "listening on 8080", "logger": "llm_gateway.reload"}


def test_a_pretty_message_keeps_its_traceback_readable() -> None:
    lines = message_line(message("broke", error=RuntimeError("boom\x07")), "pretty").decode().splitlines()
    assert lines[0].endswith("WARNING broke")
    assert lines[-1] == "RuntimeError: boom\ufffd"


class Pipe:
    """The read end of a pipe and a text stream over its write end, as a process's stdout."""

    def __init__(self) -> None:
        self.reader, descriptor = os.pipe()
        self.writer = os.fdopen(descriptor, "w")

    def close(self) -> bytes:
        self.writer.close()
        with os.fdopen(self.reader, "rb") as reader:
            return reader.read()


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def dropped(log: RequestLog) -> float:
    """Lines lost so far, as the metric tells them."""
    counter = CounterChild()
    log.count_drops_in(counter)
    return counter.value


def test_lines_come_out_in_order_and_whole(pipe: Pipe) -> None:
    log = RequestLog(pipe.writer, "info", "auto")
    # More than one slice, less than the pipe holds.
    for i in range(200):
        log.append(finished(request_id=f"req_{i}"))
    log.close()
    assert [json.loads(line)["request_id"] for line in pipe.close().splitlines()] == [
        f"req_{i}" for i in range(200)
    ]
    assert dropped(log) == 0


def test_a_line_after_silence_does_not_wait_for_a_next_one(pipe: Pipe) -> None:
    log = RequestLog(pipe.writer, "info", "json")
    log.append(finished(request_id="req_a"))
    assert b"req_a" in os.read(pipe.reader, 65536)
    log.append(finished(request_id="req_b"))
    assert b"req_b" in os.read(pipe.reader, 65536)
    log.close()
    pipe.close()


def test_a_blocked_output_blocks_nobody_and_drops_the_oldest(pipe: Pipe) -> None:
    lost = CounterChild()
    log = RequestLog(pipe.writer, "info", "json", capacity=100)
    log.count_drops_in(lost)
    # Far more than a pipe holds, and nobody reads: if `append` waited, this test would never end.
    for i in range(5000):
        log.append(finished(request_id=f"req_{i}", error="x" * 2000))
    log.close(timeout=0.05)
    assert lost.value > 3000
    assert len(log._queue) <= 100
    drained: list[bytes] = []
    reading = threading.Thread(
        target=lambda: drained.extend(iter(lambda: os.read(pipe.reader, 1 << 20), b""))
    )
    reading.start()
    log.close(timeout=30)
    pipe.writer.close()
    reading.join(30)
    os.close(pipe.reader)
    ids = [json.loads(line)["request_id"] for line in b"".join(drained).splitlines()]
    assert ids[-1] == "req_4999"
    assert len(ids) + lost.value == 5000


def test_a_closed_output_is_counted_not_raised(pipe: Pipe) -> None:
    log = RequestLog(pipe.writer, "info", "json")
    os.close(pipe.reader)
    log.append(finished())
    log.close()
    assert dropped(log) == 1
    pipe.writer.close()


def test_lines_lost_before_the_metric_existed_are_counted_too(pipe: Pipe) -> None:
    log = RequestLog(pipe.writer, "info", "json")
    log.append(finished(error="\ud800"))
    log.close()
    counter = CounterChild()
    counter.inc(2)
    log.count_drops_in(counter)
    assert counter.value == 3
    pipe.close()


def test_an_output_made_non_blocking_by_others_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer.fileno(), False)
    log = RequestLog(pipe.writer, "info", "json")
    for i in range(1000):
        log.append(finished(request_id=f"req_{i}", error="x" * 500))
    total = b""
    while total.count(b"\n") < 1000:
        total += os.read(pipe.reader, 1 << 20)
    log.close()
    assert [json.loads(line)["request_id"] for line in total.splitlines()] == [
        f"req_{i}" for i in range(1000)
    ]
    pipe.close()


def test_one_line_that_cannot_be_encoded_does_not_end_the_log(pipe: Pipe) -> None:
    log = RequestLog(pipe.writer, "info", "json")
    log.append(finished(error="\ud800"))
    log.append(finished(request_id="req_2"))
    log.close()
    lost, written = map(json.loads, pipe.close().splitlines())
    assert (lost["level"], lost["message"]) == ("ERROR", "a log line could not be encoded")
    assert written["request_id"] == "req_2"
    assert dropped(log) == 1


def test_a_stream_without_descriptor_works() -> None:
    stream = io.StringIO()
    log = RequestLog(stream, "info", "json")
    log.append(finished())
    log.close()
    assert json.loads(stream.getvalue())["request_id"] == "req_1"


KEPT = {
    "debug keeps all": ("debug", ["request", "error", "d", "i", "w", "e"]),
    "info keeps all but debug": ("info", ["request", "error", "i", "w", "e"]),
    "warning keeps requests that failed": ("warning", ["error", "w", "e"]),
    "error keeps errors": ("error", ["error", "e"]),
}


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Python's logging is global: put back what a test changes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("sentence", KEPT)
def test_levels_hold_for_requests_and_for_logging(
    sentence: str, pipe: Pipe, root_logger: logging.Logger
) -> None:
    level, expected = KEPT[sentence]
    log = configure_logging("error", "json", pipe.writer)
    set_level(log, level, "json")
    log.append(finished())
    log.append(finished(status="error", error="error"))
    for name in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("llm_gateway.x"), name)("%s", name[0])
    log.close()
    lines = [json.loads(line) for line in pipe.close().splitlines()]
    assert [line.get("error") or line["message"] for line in lines] == expected


def test_a_message_says_what_was_true_when_it_was_logged(pipe: Pipe, root_logger: logging.Logger) -> None:
    log = configure_logging("info", "json", pipe.writer)
    names = ["a"]
    logging.getLogger("x").info("names: %s", names)
    names.append("b")
    log.close()
    assert json.loads(pipe.close())["message"] == "names: ['a']"
