"""One streamed chat completion of an OpenAI-compatible server: what the client may see, whether it is whole.

Every event is decoded: for the few fields that are read, msgspec takes less time than the byte searches that would
tell whether an event is worth decoding, and no malformed event passes.

Seen in the wild: events with empty choices (Azure's prompt_filter_results first, usage last); usage on every chunk,
on the finish chunk, on one of its own, or never; `finish_reason: ""` for none, and reasons of the server's own; errors
as `{"error": ...}`, as `event: error` and as a line `error: {...}`; a last event without its blank line; no [DONE].
"""

import re

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.openai_errors import Scrub, error_text
from llm_gateway.wire.chat import (
    BROKEN,
    ChatFields,
    Chunk,
    Usage,
    decode_chunk,
    decode_chunk_leniently,
    usage_of,
)
from llm_gateway.wire.finish import WORD_LIMIT, relabel, unknown
from llm_gateway.wire.sse import EventSplitter, EventTooLong, events

_JSON_LIMIT = 64 * 1024  # of a JSON body that came where a stream should be
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_error_line = re.compile(rb"(?:\A|[\r\n])error:[ ]?([^\r\n]*)").search


class ChatStream:
    __slots__ = (
        "_aside",
        "_json",
        "_n",
        "_scrub",
        "_show_usage",
        "_splitter",
        "committed",
        "deltas",
        "done",
        "finish_reasons",
        "finished",
        "salvage",
        "unknown_finish",
        "untouched",
        "usage",
    )

    final = b"data: [DONE]\n\n"

    def __init__(self, fields: ChatFields, scrub: Scrub) -> None:
        self._show_usage = fields.include_usage
        self._n = max(1, fields.n or 1)
        self._scrub = scrub
        self._splitter = EventSplitter()
        self._aside = True  # not in the plain middle of a stream
        self._json: bytearray | None = None  # the body so far, when it is JSON and no stream
        self.committed = False
        self.finished = False
        self.done = False
        self.untouched = False
        self.deltas = 0
        self.usage: Usage | None = None
        self.finish_reasons: dict[int, str] = {}
        self.unknown_finish: str | None = None
        self.salvage = b""

    def feed(self, payload: bytes) -> bytes:
        if self._aside and not self._goes_on(payload):
            self.untouched = False
            return b""
        try:
            block = self._splitter.feed(payload)
        except EventTooLong as error:
            raise _bad(f"sent {error}") from error
        if (
            block.startswith(b"data: {") and block.find(b"\n", 0, -2) < 0
        ):  # one event on one line: the usual feed
            try:
                out = self._take(decode_chunk(block[6:]), block)
            except BROKEN:
                out = self._relay(block)
        else:
            out = self._relay(block)
        self.untouched = out is payload
        return out

    def end(self) -> None:
        if self._json is not None:
            text = error_text(bytes(self._json), self._scrub)
            raise _bad("answered with JSON instead of a stream" + (f": {text}" if text else ""))
        if self._splitter.tail().strip(_BLANKS) in (b"data: [DONE]", b"data:[DONE]"):
            self._finish()
        if self.done or self.finished:
            return
        if self._aside:
            raise _bad("empty answer")
        raise UpstreamFailure(FailureKind.truncated, "the stream ended before the answer was finished")

    def _goes_on(self, payload: bytes) -> bool:
        """Whether the payload is for the splitter, where that is not plain: at the start, after the end, in JSON."""
        if self._json is None and not self.done:
            text = payload.lstrip(_BLANKS)
            if text.startswith(b"<"):
                raise _bad("answered with HTML instead of a stream")
            if not text.startswith((b"{", b"[")):
                self._aside = not text
                return True
            self._json = bytearray()
        if self._json is not None:
            self._json += payload
            if len(self._json) > _JSON_LIMIT:
                raise _bad("answered with JSON instead of a stream")
        return False

    def _relay(self, block: bytes) -> bytes:
        raws = _split(block)
        shown: list[bytes] = []
        for raw in raws:
            try:
                out = self._look(raw)
            except UpstreamFailure:
                self.salvage = b"".join(shown)
                raise
            if self.done:
                break
            shown.append(out)
        return block if shown == raws else b"".join(shown)

    def _look(self, raw: bytes) -> bytes:
        """Take in one event; return what of it the client may see."""
        if raw.startswith(b"data: {"):
            try:
                return self._take(decode_chunk(raw[6:]), raw)
            except BROKEN:
                pass
        return self._look_closely(raw)

    def _look_closely(self, raw: bytes) -> bytes:
        shown = raw
        for event in events(raw):
            if event.event == b"error":
                raise self._error(event.data)
            if line := _error_line(event.raw):
                raise self._error(line[1])
            data = event.data.strip()
            if data == b"[DONE]":
                self._finish()
                return b""
            if data:
                chunk = self._decode(data)
                if chunk.error:
                    raise self._error(data)
                shown = self._take(chunk, shown)
        return shown

    def _decode(self, data: bytes) -> Chunk:
        try:
            return decode_chunk_leniently(data)
        except BROKEN as error:
            raise _bad(f"sent a malformed chunk ({error})") from error

    def _take(self, chunk: Chunk, raw: bytes) -> bytes:
        """The event as the client may see it; empty: not at all."""
        if chunk.error:
            raise self._error(raw)
        if chunk.usage is not None:
            self.usage = usage_of(chunk.usage) or self.usage
        if not chunk.choices:
            # The usage that we asked for, and the client did not.
            return raw if self._show_usage or chunk.usage is None or not self.finish_reasons else b""
        unknown_reasons = 0
        for choice in chunk.choices:
            delta = choice.delta
            if delta is not None and (
                delta.content
                or delta.tool_calls
                or delta.reasoning_content
                or delta.reasoning
                or delta.refusal
                or delta.audio
                or delta.function_call
            ):
                self.deltas += 1
                self.committed = True
            if choice.finish_reason and isinstance(choice.finish_reason, str):
                index = choice.index if isinstance(choice.index, int) else 0
                unknown_reasons += self._choice_finished(index, choice.finish_reason)
        return relabel(raw, unknown_reasons) if unknown_reasons else raw

    def _choice_finished(self, index: int, reason: str) -> bool:
        """Whether the reason is one that clients do not know."""
        self.committed = True
        odd = unknown(reason) is not None
        if odd:
            self.unknown_finish = self.unknown_finish or self._scrub(reason)[:WORD_LIMIT]
        if len(self.finish_reasons) < self._n or index in self.finish_reasons:
            self.finish_reasons[index] = "length" if odd else reason
        self.finished = len(self.finish_reasons) >= self._n
        return odd

    def _finish(self) -> None:
        if not self.committed:
            raise _bad("empty answer")
        self.done = self._aside = True

    def _error(self, data: bytes) -> UpstreamFailure:
        text = error_text(data.removeprefix(b"data: "), self._scrub)
        return UpstreamFailure(FailureKind.error_event, "sent an error event" + (f": {text}" if text else ""))


def _bad(message: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.bad_answer, message)


def _split(block: bytes) -> list[bytes]:
    if b"\r" in block:
        return [event.raw for event in events(block)]
    parts = block.split(b"\n\n")
    last = parts.pop()
    raws = [part + b"\n\n" for part in parts]
    return [*raws, last] if last else raws
