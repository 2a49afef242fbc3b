"""The log: whatever is appended is written by a thread of its own, in batches.

The event loop only appends to a queue: it never encodes a line and never waits for the output. If the output
is slower than the gateway, the oldest lines go, and a metric counts them. Requests and Python's logging share
one writer, so no line lands inside another.
"""

import atexit
import contextlib
import copy
import io
import logging
import os
import threading
import time
from collections import deque
from typing import TextIO

from llm_gateway.telemetry.lines import Shape, message_line, request_line
from llm_gateway.telemetry.metrics import CounterChild
from llm_gateway.telemetry.record import RequestRecord

CAPACITY = 10_000
# Seconds between two batches. A first line after silence is written at once.
INTERVAL = 0.2
# Lines per write. The writer lets go of the interpreter lock at each: the loop waits 0.3 ms for it, not 5.
SLICE = 128

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class RequestLog:
    """`append` is for the event loop's thread; `emit` for any thread."""

    def __init__(
        self,
        stream: TextIO,
        level: str = "info",
        shape: str = "auto",
        *,
        capacity: int = CAPACITY,
    ) -> None:
        self._stream = stream
        self._capacity = capacity
        self._dropped = CounterChild()
        self._queue: deque[RequestRecord | logging.LogRecord] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._level = 0
        self._shape: Shape = "json"
        self.set(level, shape)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def set(self, level: str, shape: str) -> None:
        """`level`: debug, info, warning, error. `shape`: json, pretty, or auto (pretty at a terminal)."""
        self._level = _LEVELS[level]
        terminal = self._stream.isatty()
        if shape == "auto":
            shape = "pretty" if terminal else "json"
        self._shape = "json" if shape == "json" else "coloured" if terminal else "pretty"

    def count_drops_in(self, counter: CounterChild) -> None:
        """The metric that counts lost lines; those lost so far are added to it."""
        counter.value += self._dropped.value
        self._dropped = counter

    def append(self, record: RequestRecord) -> None:
        """Takes a finished request, which must not change afterwards."""
        if self._level <= logging.INFO or record.status == "error":
            self._put(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a message of Python's logging."""
        if record.levelno >= self._level:
            # The arguments of the message may change later: they become text now.
            message = copy.copy(record)
            message.msg, message.args = record.getMessage(), None
            self._put(message)

    def close(self, timeout: float = 2.0) -> None:
        """Writes what is queued and ends the thread; gives up after `timeout` seconds of a stuck output."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)

    def _put(self, item: RequestRecord | logging.LogRecord) -> None:
        queue = self._queue
        if len(queue) >= self._capacity:
            # The writer may have emptied it meanwhile.
            with contextlib.suppress(IndexError):
                queue.popleft()
                self._dropped.value += 1
        queue.append(item)
        # The writer clears the event before it empties the queue: only the first item has to wake it.
        if len(queue) == 1:
            self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self._write_queue()
            self._stop.wait(INTERVAL)
        self._write_queue()

    def _write_queue(self) -> None:
        offset = time.time() - time.monotonic()
        while items := self._next_slice():
            lines = [self._line(item, offset) for item in items]
            try:
                self._write(b"".join(lines))
            except (OSError, ValueError):
                # The output is gone (closed pipe, closed stream): there is nowhere to say so but the metric.
                self._dropped.value += len(lines)

    def _next_slice(self) -> list[RequestRecord | logging.LogRecord]:
        items: list[RequestRecord | logging.LogRecord] = []
        # The other thread may take the last item between a look at the length and the taking.
        with contextlib.suppress(IndexError):
            while len(items) < SLICE:
                items.append(self._queue.popleft())
        return items

    def _line(self, item: RequestRecord | logging.LogRecord, offset: float) -> bytes:
        try:
            if isinstance(item, RequestRecord):
                return request_line(item, offset, self._shape)
            return message_line(item, self._shape)
        except Exception:
            # One line that cannot be written (a lone surrogate in it, say) must not end the log.
            self._dropped.value += 1
            return b'{"level":"ERROR","message":"a log line could not be encoded"}\n'

    def _write(self, data: bytes) -> None:
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            self._stream.write(data.decode())
            self._stream.flush()
            return
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                # Somebody else made the terminal or pipe non-blocking.
                time.sleep(0.02)


class _Handler(logging.Handler):
    def __init__(self, log: RequestLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.emit(record)
        except Exception:
            self.handleError(record)


def configure_logging(level: str, shape: str, stream: TextIO) -> RequestLog:
    """The process's log, with Python's logging routed into it; written out when the interpreter exits."""
    log = RequestLog(stream, level, shape)
    root = logging.getLogger()
    root.handlers[:] = [_Handler(log)]
    set_level(log, level, shape)
    atexit.register(log.close)
    return log


def set_level(log: RequestLog, level: str, shape: str) -> None:
    """After a reload: the level and shape of requests and of Python's logging together."""
    log.set(level, shape)
    logging.getLogger().setLevel(_LEVELS[level])
