"""What an error answer of an OpenAI-compatible server means: whose fault it is, what of its text may be shown.

Whose fault: the request's own (400, 404 of a model, 413, 422, ...) is relayed to the client and no other target is
tried; the key's, the quota's and the server's are the gateway's to deal with.

Shapes seen: OpenAI's `{"error": {...}}`; `{"error": "text"}`; the error object without its envelope (older vLLM,
Mistral); `{"detail": ...}` (FastAPI); plain text; HTML of a proxy on the way.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from llm_gateway.errors import FailureKind, UpstreamFailure, error_body
from llm_gateway.wire.chat import BROKEN, lenient

Scrub = Callable[[str], str]

_TEXT_LIMIT = 2048  # characters of an upstream's message that a client is shown
_NOTE_LIMIT = 200  # characters of it inside a sentence of ours
_MASK = "***"
_SHORTEST_SECRET = 4  # characters; blanking out shorter ones would hide no secret and garble texts


def scrubber(*, scheme: str, authority: str, host: str, secrets: Iterable[str]) -> Scrub:
    """A function that takes keys and the upstream's address out of a text.

    A host name without a dot or colon ("vllm") goes only as part of an address: alone it may be any word.
    """
    keys = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)
    names = (authority, host) if "." in host or ":" in host else (authority,) if ":" in authority else ()
    places = [rf"{re.escape(scheme)}://{re.escape(authority)}[^\s\"'<>]*", *map(re.escape, names)]
    place = re.compile("|".join(places), re.IGNORECASE)

    def scrub(text: str) -> str:
        for key in keys:
            text = text.replace(key, _MASK)
        return place.sub(_MASK, text)

    return scrub


class _Found(msgspec.Struct):
    """An upstream's error object, whatever shape it came in."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


def rejection(status: int, headers: Mapping[bytes, bytes], body: bytes, scrub: Scrub) -> UpstreamFailure:
    found = _find(body, scrub)
    if status in (401, 403):
        # Without the upstream's text: it likes to repeat parts of the key.
        return UpstreamFailure(
            FailureKind.credential, f"refused the gateway's credential ({status})", status=status
        )
    if status == 402 or (status == 429 and found and "insufficient_quota" in (found.code, found.type)):
        return UpstreamFailure(FailureKind.quota, f"the gateway's quota is used up ({status})", status=status)
    note = f"answered {status}" + (
        f": {_shorten(found.message, _NOTE_LIMIT)}" if found and found.message else ""
    )
    wait = retry_after(headers)
    if status == 429:
        return UpstreamFailure(FailureKind.rate_limit, note, status=status, retry_after=wait)
    if status in (408, 409, 425) or not 400 <= status < 500 or (status == 404 and found is None):
        # A 404 without an error object is not about a model: another server answered, or the base URL is wrong.
        return UpstreamFailure(FailureKind.status, note, status=status, retry_after=wait)
    return UpstreamFailure(FailureKind.status, note, status=status, relay=_relay(status, found, body, scrub))


def error_text(body: bytes, scrub: Scrub) -> str:
    """The message of an error object or a plain text, short enough for a sentence; "" when there is none."""
    found = _find(body, scrub)
    return _shorten(found.message if found else scrub(_plain(body)), _NOTE_LIMIT)


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds to wait, in any of its spellings. A date counts from the answer's own `date`: no clock needed."""
    for name in (b"retry-after-ms", b"x-ms-retry-after-ms"):
        milliseconds = _number(headers.get(name))
        if milliseconds is not None:
            return milliseconds / 1000
    value = headers.get(b"retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        until = parsedate_to_datetime(value.decode("latin-1"))
        since = parsedate_to_datetime(headers.get(b"date", b"").decode("latin-1"))
        return max(0.0, (until - since).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _relay(status: int, found: _Found | None, body: bytes, scrub: Scrub) -> bytes:
    if found is None:
        found = _Found(scrub(_plain(body)))
    kind = found.type or ("not_found_error" if status == 404 else "invalid_request_error")
    message = _cut(found.message, _TEXT_LIMIT) or f"the provider refused the request ({status})"
    return error_body(message, kind, param=found.param, code=found.code)


def _find(body: bytes, scrub: Scrub) -> _Found | None:
    try:
        answer: Any = msgspec.json.decode(lenient(body))
    except BROKEN:
        return None
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict) or (error is answer and "message" not in answer):
        return None
    message = error.get("message", "")
    code = error.get("code")
    return _Found(
        scrub(message if isinstance(message, str) else msgspec.json.encode(message).decode()),
        _text(error.get("type"), scrub),
        _text(error.get("param"), scrub),
        code if isinstance(code, int) and not isinstance(code, bool) else _text(code, scrub),
    )


def _text(value: object, scrub: Scrub) -> str | None:
    return _cut(scrub(value), _NOTE_LIMIT) if isinstance(value, str) else None


def _plain(body: bytes) -> str:
    """A body as text for a message: nothing of a page of HTML, which says nothing in its first lines."""
    text = body.decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shorten(text: str, limit: int) -> str:
    return _cut(" ".join(text.split()), limit)
