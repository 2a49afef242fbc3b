"""OpenAI's chat completions, spoken to OpenAI: the client's body goes through with the fewest edits."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.base import WholeAnswer
from llm_gateway.providers.openai_errors import error_text, rejection, scrubber
from llm_gateway.providers.openai_stream import ChatStream
from llm_gateway.version import VERSION
from llm_gateway.wire.chat import BROKEN, ChatFields, decode_completion, usage_of
from llm_gateway.wire.finish import WORD_LIMIT, relabel, unknown
from llm_gateway.wire.splice import edit
from llm_gateway_config import Provider, Secret

__all__ = ["ChatStream", "OpenAIAdapter"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NOT_EXTRA = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_path = re.compile(r"[\x21-\x7e]*").fullmatch


class OpenAIAdapter:
    """Speaks to any server with OpenAI's chat completions at `base_url` + /chat/completions."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: Secret | None,
        organization: str | None,
        headers: Mapping[str, Secret],
        stream_usage: bool,
    ) -> None:
        """Raises ValueError for what cannot be written as a request head."""
        url = urlsplit(base_url)
        host = url.hostname
        if url.scheme not in _DEFAULT_PORTS or not host or not _is_path(base_url):
            raise ValueError(f"not an http or https URL: {base_url!r}")
        authority = url.netloc.rpartition("@")[2].lower().removesuffix(f":{_DEFAULT_PORTS[url.scheme]}")
        lines = {
            "Host": authority,
            "User-Agent": f"llm-gateway/{VERSION}",
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",  # a compressed stream could not be read event by event
            "Content-Type": "application/json",
        }
        if api_key is not None:
            lines["Authorization"] = f"Bearer {api_key.reveal()}"
        if organization is not None:
            lines["OpenAI-Organization"] = organization
        path = f"{url.path.rstrip('/')}/chat/completions"
        self._head = f"POST {path} HTTP/1.1\r\n".encode("ascii") + _header_lines(lines, headers)
        self._stream_usage = stream_usage
        secrets = [secret.reveal() for secret in (api_key, *headers.values()) if secret is not None]
        self._scrub = scrubber(scheme=url.scheme, authority=authority, host=host, secrets=secrets)

    @classmethod
    def of(cls, provider: Provider) -> "OpenAIAdapter":
        """The adapter of a provider of the document."""
        return cls(
            base_url=provider.base_url or "",
            api_key=provider.api_key,
            organization=provider.organization,
            headers=provider.headers,
            stream_usage=provider.stream_usage,
        )

    def encode(self, body: bytes, fields: ChatFields, model: str, headers: bytes) -> bytes:
        include_usage = bool(fields.stream) and self._stream_usage
        body = edit(body, fields, model=model, include_usage=include_usage)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, headers, len(body), body)

    def rejection(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamFailure:
        return rejection(status, headers, body, self._scrub)

    def completion(self, body: bytes, headers: Mapping[bytes, bytes]) -> WholeAnswer:
        _refuse_compressed(headers)
        if not body.strip():
            raise _bad("empty answer")
        try:
            answer = decode_completion(body)
        except BROKEN as error:
            html = body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
            raise _bad("answered with HTML" if html else f"sent malformed JSON ({error})") from error
        if answer.error:
            text = error_text(body, self._scrub)
            raise _bad("sent an error in a 200" + (f": {text}" if text else ""))
        if not answer.choices:
            raise _bad("sent an answer without choices")
        usage = usage_of(answer.usage)
        reasons = [reason for choice in answer.choices if (reason := unknown(choice.finish_reason))]
        if not reasons:
            return WholeAnswer(body, usage)
        return WholeAnswer(relabel(body, len(reasons)), usage, self._scrub(reasons[0])[:WORD_LIMIT])

    def stream(self, fields: ChatFields, headers: Mapping[bytes, bytes]) -> ChatStream:
        _refuse_compressed(headers)
        return ChatStream(fields, self._scrub)


def _refuse_compressed(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _bad("sent a compressed answer though none was accepted")


def _bad(message: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.bad_answer, message)


def _header_lines(own: Mapping[str, str], extra: Mapping[str, Secret]) -> bytes:
    """Extra headers replace ours of the same name, except those that frame the message."""
    lines = {name.lower(): (name, value) for name, value in own.items()}
    for name, secret in extra.items():
        if name.lower() in _NOT_EXTRA:
            raise ValueError(f"header {name} cannot be set")
        lines[name.lower()] = (name, secret.reveal())
    return b"".join(_header_line(name, value) for name, value in lines.values())


def _header_line(name: str, value: str) -> bytes:
    # Never the value in the message: it may be a key.
    if not _is_name(name):
        raise ValueError(f"not a header name: {name!r}")
    if not _is_value(value):
        raise ValueError(
            f"the value of header {name} holds a line break or another character that no header can carry"
        )
    return f"{name}: {value}\r\n".encode("latin-1")
