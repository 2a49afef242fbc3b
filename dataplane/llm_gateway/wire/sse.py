"""Event streams (WHATWG HTML, 9.2): where events end, and what is in them.

A line ends with CR LF, LF or CR; an event with a blank line. `EventSplitter` finds the ends without looking into
events, whatever the pieces in which the bytes come; `events` reads whole events.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
# LF CR ends an event too, unless an LF follows and makes it LF, CR LF: known only when the next byte is there.
_boundary = re.compile(rb"\n\n|\r\r|\n\r\n|\n\r(?=[^\n])")
_line_end = re.compile(rb"\r\n|\n|\r")


class EventTooLong(Exception):
    """One event is longer than the splitter may hold."""


class EventSplitter:
    __slots__ = ("_begun", "_limit", "_pieces", "_seen", "held")

    def __init__(self, limit: int = 4 * 1024 * 1024) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # the begun event; joined once, when its end is there
        self._seen = b""  # the last 3 bytes of the stream: an end may lie across two pieces
        self._begun = False
        self.held = 0  # bytes of the begun event

    def feed(self, data: bytes) -> bytes:
        """All events that are whole now, as one block; the rest is kept. Raises EventTooLong."""
        if data.endswith(b"\n\n") and not self._pieces and self._begun:
            self._seen = b"\n\n"
            return data
        if not self._begun:
            data = self._without_bom(data)
        if not data:
            return b""
        window = self._seen + data
        cut = _last_end(window) - len(self._seen)
        self._seen = window[-3:]
        if cut < 0 or (cut == 0 and not self._pieces):
            self._hold(data)
            return b""
        block = data[:cut]
        if self._pieces:
            self._pieces.append(block)
            block = b"".join(self._pieces)
            self._pieces.clear()
            self.held = 0
        if cut < len(data):
            self._hold(data[cut:])
        return block

    def tail(self) -> bytes:
        """The bytes that are held, for a stream that ended without its last blank line."""
        return b"".join(self._pieces)

    def _hold(self, data: bytes) -> None:
        self._pieces.append(data)
        self.held += len(data)
        if self.held > self._limit:
            raise EventTooLong(f"an event longer than {self._limit} bytes")

    def _without_bom(self, data: bytes) -> bytes:
        data = b"".join(self._pieces) + data
        self._pieces.clear()
        self.held = 0
        if len(data) < len(_BOM) and _BOM.startswith(data):
            if data:
                self._hold(data)
            return b""
        self._begun = True
        return data.removeprefix(_BOM)


def _last_end(window: bytes) -> int:
    """The position after the last blank line, or -1."""
    end = window.rfind(b"\n\n")
    end = end + 2 if end >= 0 else -1
    if b"\r" not in window:
        return end
    for mark in (b"\r\r", b"\n\r\n"):
        at = window.rfind(mark)
        if at >= 0:
            end = max(end, at + len(mark))
    at = window.rfind(b"\n\r", 0, -1)
    if at >= 0:  # LF, CR LF is longer and was found above
        end = max(end, at + 2)
    return end


class Event(NamedTuple):
    raw: bytes  # with its blank line
    data: bytes  # its data lines, joined by LF
    event: bytes  # its name, b"" for the usual one


def events(block: bytes) -> Iterator[Event]:
    """The events of a block of whole ones. Their `raw` together are the block."""
    start = 0
    for match in _boundary.finditer(block):
        yield _event(block[start : match.end()])
        start = match.end()
    if start < len(block):
        yield _event(block[start:])


def _event(raw: bytes) -> Event:
    data: list[bytes] = []
    name = b""
    for line in _line_end.split(raw):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return Event(raw, b"\n".join(data), name)
