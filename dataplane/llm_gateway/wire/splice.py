"""Edits of a chat request's bytes that leave every byte alone which they do not have to change.

`parse_request` has accepted the body: it is a JSON object with exactly one top-level `model`, and `fields` says
whether there are stream_options. Facts that the fast path stands on, in valid JSON:
- `"model"` followed by a colon, with no backslash before it, is a key: a quote that is not escaped either opens or
  ends a string, and what follows the end of a string is never an m.
- Such a key is top-level when only one `{` comes before it, or only one `}` after it, within strings or not.
"""

import re

import msgspec

from llm_gateway.wire.chat import ChatFields

_model = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL).match
_ASK_USAGE = b'"stream_options":{"include_usage":true},'
_encode = msgspec.json.encode


def edit(body: bytes, fields: ChatFields, *, model: str | None, include_usage: bool) -> bytes:
    """The body with another model (None: keep it) and, when asked, `stream_options.include_usage` true.

    Returns `body` itself when nothing changes. Every other value keeps its exact bytes.
    """
    if model == fields.model:
        model = None
    include_usage = include_usage and not fields.include_usage
    if model is None and not include_usage:
        return body
    if include_usage and fields.stream_options is not msgspec.UNSET:
        return _rejoin(body, model, include_usage)
    start = body.index(b"{") + 1
    asked = _ASK_USAGE if include_usage else b""
    if model is None:
        return b"".join((body[:start], asked, body[start:]))
    found = _top_model(body, body.find(b'"model"'), start) or _top_model(body, body.rfind(b'"model"'), start)
    if found is None:
        return _rejoin(body, model, include_usage)
    at, end = found.span(1)
    return b"".join((body[:start], asked, body[start:at], _encode(model), body[end:]))


def _top_model(body: bytes, key: int, start: int) -> re.Match[bytes] | None:
    """The member that begins at `key`, if it is sure to be the top-level model."""
    found = _model(body, key) if key > 0 else None
    if found is None or body[key - 1] == 0x5C:
        return None
    if body.find(b"{", start, key) < 0 or body.find(b"}", key) == body.rfind(b"}"):
        return found
    return None


def _rejoin(body: bytes, model: str | None, include_usage: bool) -> bytes:
    # A dict takes the last of equal keys, as every reader of JSON that the upstreams use.
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if model is not None:
        members["model"] = msgspec.Raw(_encode(model))
    if include_usage:
        options = members.get("stream_options", msgspec.Raw(b"null"))
        inner = msgspec.json.decode(options, type=dict[str, msgspec.Raw] | None) or {}
        inner["include_usage"] = msgspec.Raw(b"true")
        members["stream_options"] = msgspec.Raw(_encode(inner))
    return _encode(members)
