"""The few fields of a chat request and of its answer that the gateway reads; msgspec skips the rest unbuilt.

Requests are judged strictly: what we read differently than an upstream would be routed or billed wrongly. Answers
are read leniently: what a server sends beside the point must not break a good answer.
"""

import re
from typing import Any

import msgspec

from llm_gateway.errors import BadRequest

MODEL_LIMIT = 256  # characters of a model name
BROKEN = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
)  # all that msgspec raises on bytes that are no JSON


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class ModelName(str):
    """A type of its own only to have msgspec call `_Requests.model` for it."""

    __slots__ = ()


class ChatFields(msgspec.Struct, gc=False):
    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    n: int | None = None

    @property
    def include_usage(self) -> bool:
        """Whether the client asked for the usage of a stream."""
        options = self.stream_options
        return isinstance(options, StreamOptions) and bool(options.include_usage)


class _Requests:
    """Decodes requests, one at a time: counts the top-level `model` keys on the way, however they are escaped.

    Of equal keys msgspec keeps the last. We and an upstream might each take another one, so two are refused.
    """

    def __init__(self) -> None:
        self._models = 0
        self._decode = msgspec.json.Decoder(ChatFields, dec_hook=self._model).decode

    def _model(self, type: type, value: object) -> ModelName:
        self._models += 1
        if not isinstance(value, str):
            raise TypeError("must be a string")
        return ModelName(value)

    def parse(self, body: bytes) -> ChatFields:
        """Raises BadRequest, with the name of the field where one is at fault."""
        self._models = 0
        try:
            fields = self._decode(body)
        except BROKEN as error:
            raise _bad_request(body, error) from error
        if self._models > 1:
            raise BadRequest("model is given more than once", param="model")
        if not 0 < len(fields.model) <= MODEL_LIMIT:
            raise BadRequest(f"model must have 1 to {MODEL_LIMIT} characters", param="model")
        return fields


parse_request = _Requests().parse

_TYPES = {
    "bool": "a boolean",
    "int": "an integer",
    "float": "a number with a fraction",
    "str": "a string",
    "object": "an object",
    "array": "an array",
}
_expected = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)[^`]*`(?: - at `\$\.(\w+)(?:\.(\w+))?)?").match
_half_pair = re.compile(rb"\\u[dD][89a-fA-F]").search


def _bad_request(body: bytes, error: Exception) -> BadRequest:
    text = str(error)
    if not body.strip():
        return BadRequest("the body is empty; it must be a JSON object")
    if "missing required field `model`" in text:
        return BadRequest("you must provide a model parameter", param="model")
    if isinstance(error.__cause__, TypeError):
        return BadRequest("model must be a string", param="model")
    if match := _expected(text):
        wanted, got, field, inner = match.groups()
        name = ".".join(part for part in (field, inner) if part)
        sentence = f"{name or 'the body'} must be {_TYPES.get(wanted, wanted)}, is {_TYPES.get(got, got)}"
        return BadRequest(sentence, param=name or None)
    return BadRequest(f"the body is not valid JSON: {_flaw(body, error)}")


def _flaw(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "a text that is not UTF-8"
    text = str(error).removeprefix("JSON is malformed: ")
    if "truncated" not in text:
        return text
    # msgspec calls a lone half of a surrogate pair truncated as well.
    half = " or holds half of a surrogate pair" if _half_pair(body) else ""
    return f"it ends too early{half} (byte {len(body)})"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. `cached` is part of `prompt`, `reasoning` of `completion`, as OpenAI counts."""

    prompt: int = 0
    completion: int = 0
    total: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False


def usage_of(found: object) -> Usage | None:
    """OpenAI's usage object, decoded; None when it says nothing.

    More cached tokens than prompt tokens come from servers whose prompt is without the cached ones.
    """
    if not isinstance(found, dict):
        return None
    prompt, completion = _count(found, "prompt_tokens"), _count(found, "completion_tokens")
    total = _count(found, "total_tokens") or prompt + completion
    cached = _count(found.get("prompt_tokens_details"), "cached_tokens")
    if cached > prompt:
        prompt += cached
        total = max(total, prompt + completion)
    if not total:
        return None
    reasoning = _count(found.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(prompt, completion, total, cached, reasoning)


def _count(found: object, name: str) -> int:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


class CompletionChoice(msgspec.Struct, gc=False):
    finish_reason: Any = None


class Completion(msgspec.Struct, gc=False):
    """What is read of an answer that does not stream."""

    choices: list[CompletionChoice] | None = None
    usage: Any = None
    error: Any = None


class Delta(msgspec.Struct, gc=False):
    """The fields that carry content, and are true when they do. Some servers send lists where OpenAI has text."""

    content: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    audio: Any = None
    function_call: Any = None


class ChunkChoice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    finish_reason: Any = None
    index: Any = 0


class Chunk(msgspec.Struct, gc=False):
    """What is read of one event of a streamed answer."""

    choices: list[ChunkChoice] | None = None
    usage: Any = None
    error: Any = None


_halves = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_no_numbers = re.compile(rb"-?\b(?:NaN|Infinity)\b")
_completion = msgspec.json.Decoder(Completion).decode
_chunk = msgspec.json.Decoder(Chunk).decode
decode_chunk = _chunk  # as fast as it goes; raises one of BROKEN


def decode_chunk_leniently(data: bytes) -> Chunk:
    return _chunk(lenient(data))


def decode_completion(body: bytes) -> Completion:
    """Raises one of BROKEN."""
    try:
        return _completion(body)
    except BROKEN:
        return _completion(lenient(body))


def lenient(data: bytes) -> bytes:
    """A copy to look at, never to relay: what Python's json writes and JSON does not know (NaN, halves of surrogate
    pairs) and broken UTF-8 replaced, so that an answer is not refused for it."""
    return _no_numbers.sub(b"0", _halves.sub(rb"\\u0041", data)).decode("utf-8", "replace").encode()
