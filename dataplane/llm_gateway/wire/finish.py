"""Finish reasons that OpenAI's clients do not know, made ones that they do.

A client that does not know a reason may take a cut answer for a whole one. It is told `length`, and the upstream's own
word beside it as `native_finish_reason`; every other byte stays.

Facts that the fast path stands on: in valid JSON `"finish_reason"` followed by a colon, with no backslash before it, is
a key; and when there are as many such keys with unknown reasons as choices, they are those of the choices.
"""

import re

import msgspec

from llm_gateway.wire.chat import BROKEN, lenient

KNOWN = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
WORD_LIMIT = 64  # characters of an unknown reason that are written down

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_BLANK = rb"[ \t\r\n]*"
_reason = re.compile(rb'(?<!\\)"finish_reason"' + _BLANK + b":" + _BLANK + b"(" + _STRING + b")", re.DOTALL)
_native = re.compile(rb'(?<!\\)"native_finish_reason"' + _BLANK + b":")
_token = re.compile(_STRING + rb"|[{}\[\]]", re.DOTALL)


def unknown(reason: object) -> str | None:
    """The reason, if it is one and not one of OpenAI's. What is no text is no reason."""
    return reason if isinstance(reason, str) and reason and reason not in KNOWN else None


def relabel(data: bytes, expected: int) -> bytes:
    """JSON, or an event that holds it, with the unknown reasons of its choices edited; `expected`: how many there are.

    An upstream's own native_finish_reason stays. Data in which they cannot be told apart comes back as it is.
    """
    found = [member for member in _reason.finditer(data) if _is_unknown(member[1])]
    if len(found) != expected:
        found = [member for member in _in_choices(data, _reason) if _is_unknown(member[1])]
    if len(found) != expected:
        return data
    beside = not (_native.search(data) and _in_choices(data, _native))
    parts: list[bytes] = []
    end = 0
    for member in found:
        parts += data[end : member.start(1)], b'"length"'
        if beside:
            parts += b',"native_finish_reason":', member[1]
        end = member.end()
    return b"".join((*parts, data[end:]))


def _is_unknown(value: bytes) -> bool:
    try:
        return unknown(msgspec.json.decode(lenient(value))) is not None
    except BROKEN:
        return False


def _in_choices(data: bytes, member: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """Such members of the objects in the top-level array `choices`, by walking through all brackets and strings."""
    found: list[re.Match[bytes]] = []
    depth, within = 0, False
    for token in _token.finditer(data):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        elif depth == 1:
            within = mark == b'"choices"'
        elif depth == 3 and within and (here := member.match(data, token.start())):
            found.append(here)
    return found
