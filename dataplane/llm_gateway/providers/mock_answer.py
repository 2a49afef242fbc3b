"""What the mock says: a chat request read, and its answer as JSON or as events. Nothing goes wrong here.

Prompts and answers are counted alike, so usage adds up. Streams are made piece by piece: a long one takes no
memory until it is sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from llm_gateway.errors import BadRequest
from llm_gateway.providers.mock_text import Said, count, echo, lorem
from llm_gateway.wire.chat import BROKEN

# As a model's own output limit: tokens of one choice.
OUTPUT_LIMIT = 1_000_000
# Characters of all choices together: answers are made on the event loop, and this many take it 0.15 s at most.
ANSWER_LIMIT = 4_000_000
DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text or "" for part in self.content)
        return self.content or ""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class _Request(msgspec.Struct):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    max_tokens: _AtLeastOne | None = None
    max_completion_tokens: _AtLeastOne | None = None


_decode = msgspec.json.Decoder(_Request).decode


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer, `choices` times the same text of `tokens` pieces."""

    id: str
    created: int
    model: str
    said: Said
    tokens: int
    finish_reason: str
    prompt_tokens: int
    choices: int
    stream: bool
    include_usage: bool

    def completion(self) -> bytes:
        message = {"role": "assistant", "content": self.said.whole(), "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
            for index in range(self.choices)
        ]
        return _encode({**self._facts("chat.completion"), "choices": choices, "usage": self._usage()})

    def opening(self) -> bytes:
        """The events before any content: one for each choice."""
        return self._events({"role": "assistant", "content": "", "refusal": None})

    def content(self) -> Iterator[bytes]:
        """The events of one token at a time: one for each choice."""
        ends = [self._around(index) for index in range(self.choices)]
        for piece in self.said.pieces():
            text = _encode(piece)
            yield b"".join([before + text + after for before, after in ends])

    def closing(self) -> bytes:
        """Finish reasons, and the usage where it was asked for."""
        events = self._events({}, self.finish_reason)
        if self.include_usage:
            last = {**self._facts("chat.completion.chunk"), "choices": [], "usage": self._usage()}
            events += b"data: " + _encode(last) + b"\n\n"
        return events

    def _around(self, index: int) -> tuple[bytes, bytes]:
        """What stands before and after the text in a content event."""
        before, after = self._event(index, {"content": "\0"}, None).split(b'"\\u0000"')
        return before, after

    def _events(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return b"".join(self._event(index, delta, finish_reason) for index in range(self.choices))

    def _event(self, index: int, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._facts("chat.completion.chunk"), "choices": [choice]}
        if self.include_usage:
            chunk["usage"] = None
        return b"data: " + _encode(chunk) + b"\n\n"

    def _facts(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self) -> dict[str, int]:
        completion = self.tokens * self.choices
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


def read(body: bytes, model: str, lorem_tokens: int, request_id: str, created: int) -> Answer:
    """The answer to a request. Raises BadRequest, as a server would, for what is no chat request."""
    try:
        request = _decode(body)
    except BROKEN as error:
        raise BadRequest(f"mock: {error}") from error
    echoed = _last_user_text(request.messages) if model == "echo" else None
    whole = lorem_tokens if echoed is None else count(echoed)
    asked = request.max_completion_tokens or request.max_tokens or OUTPUT_LIMIT
    tokens = min(whole, asked, OUTPUT_LIMIT)
    said = lorem(tokens) if echoed is None else echo(echoed, tokens)
    choices = request.n or 1
    if echoed is not None or not request.stream:  # streamed filler is made word by word
        _bound(len(said.whole()), choices)
    options = request.stream_options
    return Answer(
        id=f"chatcmpl-{request_id}",
        created=created,
        model=model,
        said=said,
        tokens=tokens,
        finish_reason="stop" if tokens == whole else "length",
        prompt_tokens=sum(count(message.text()) for message in request.messages),
        choices=choices,
        stream=bool(request.stream),
        include_usage=options is not None and bool(options.include_usage),
    )


def _bound(characters: int, choices: int) -> None:
    if characters * choices > ANSWER_LIMIT:
        raise BadRequest(
            f"mock: {choices} x {characters} characters are more than the {ANSWER_LIMIT} that all choices "
            "of an answer may have together; lower n or max_tokens"
        )


def _last_user_text(messages: list[_Message]) -> str:
    for message in reversed(messages):
        if message.role == "user":
            return message.text()
    return messages[-1].text()
