"""The bytes of the benchmark: one request, one answer, one event of a stream. The same for every server.

How to stream cannot be told to the upstream in a header, for a gateway passes only headers it knows: the settings
ride in the body's `metadata`, which every server passes on as it is.
"""

import json
import re
from typing import Final

PATH: Final = "/v1/chat/completions"
# The gateway knows ROUTED as a model of its own whose target is MODEL: it has to route, and to edit the body.
ROUTED: Final = "chat"
MODEL: Final = "bench-model"

REQUEST_BYTES: Final = 2048
ANSWER_BYTES: Final = 1400

_SETTINGS = re.compile(rb'"metadata":\{"events":"(\d+)","rate":"([\d.]+)"\}')


def request(host: str, *, events: int = 0, rate: float = 0.0) -> bytes:
    """One whole request, head and body. With `events` it asks for a stream of them, `rate` a second."""
    body = _body(events, rate)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Authorization: Bearer sk-bench-0123456789\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _body(events: int, rate: float) -> bytes:
    fields: dict[str, object] = {
        "model": ROUTED,
        "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": ""}],
        "temperature": 0.7,
    }
    if events:
        fields |= {"stream": True, "metadata": {"events": str(events), "rate": str(rate)}}
    missing = REQUEST_BYTES - len(json.dumps(fields, separators=(",", ":")))
    fields["messages"] = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": _prose(missing)},
    ]
    return json.dumps(fields, separators=(",", ":")).encode()


def settings(body: bytes) -> tuple[int, float] | None:
    """What `request` asked for: (events, events per second), or None for an answer in one piece."""
    match = _SETTINGS.search(body)
    return (int(match[1]), float(match[2])) if match else None


def _prose(length: int) -> str:
    words = "the quick brown fox jumps over the lazy dog and then sleeps until noon "
    return (words * (length // len(words) + 1))[:length]


def answer() -> bytes:
    """One whole response with a chat completion."""
    fields: dict[str, object] = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1760000000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "%"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 412, "completion_tokens": 230, "total_tokens": 642},
    }
    text = json.dumps(fields, separators=(",", ":"))
    body = text.replace("%", _prose(ANSWER_BYTES - len(text) + 1)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def _event(choices: str, more: str = "") -> bytes:
    data = (
        '{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1760000000,'
        f'"model":"{MODEL}","choices":{choices}{more}}}'
    )
    return _chunk(b"data: " + data.encode() + b"\n\n")


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


EVENT: Final = _event('[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]')
_FINISH = _event('[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]')
_USAGE = _event("[]", ',"usage":{"prompt_tokens":412,"completion_tokens":230,"total_tokens":642}')
_DONE = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def stream_end(*, usage: bool) -> bytes:
    """The end of a stream: finish reason, the usage when it was asked for, [DONE]."""
    return _FINISH + (_USAGE if usage else b"") + _DONE


# Lines that begin with `data: ` after the last event: finish reason and [DONE]. Usage is for the gateway only.
END_LINES: Final = 2
