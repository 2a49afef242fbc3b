"""Streams through a real gateway: the same bytes for the client in whatever pieces they come, and their usage."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from llm_gateway_testing.client import ask
from llm_gateway_testing.faults import slug
from llm_gateway_testing.relay import Relay, document, relaying
from llm_gateway_testing.upstream import (
    DONE,
    END,
    JSON_HEAD,
    ROLE,
    SSE_HEAD,
    STOP,
    USAGE,
    Behaviour,
    Peer,
    Upstream,
    chat,
    completion,
    event,
    framed,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1_000_000

# The body of the upstream, and what the client gets of it.
PLAIN = ROLE + words("one ", "two") + STOP
TEXT = 'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n'
UTF8 = "".join(TEXT % text for text in ("Grüße", "日本語", "🙂🙃")).encode() + STOP
SPREAD = (
    b'event: message\nid: 7\nretry: 5\ndata: {"choices": [{"index": 0,\ndata:  "delta": {"content": "a"}}]}\n\n'
    + STOP
)
FILTERED = event(choices=[], prompt_filter_results=[{"prompt_index": 0}]) + PLAIN
NUMBERS = (
    b'data: {"choices":[{"delta":{"content":"n"},"index":0}],"x":[1.0e5,12345678901234567890,"\\u00e9"]}\n\n'
    + STOP
)
FINISH_USAGE = (
    ROLE
    + words("a")
    + event({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
)
TOOL = {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a":'}}]}
TOOLS = ROLE + event(TOOL) + event({}, "tool_calls")
LONG = ROLE + event({"content": "x" * MB}) + STOP

STREAMS: dict[str, tuple[bytes, bytes]] = {
    "events": (PLAIN + DONE, PLAIN + DONE),
    "lines that end in CR LF": ((PLAIN + DONE).replace(b"\n", b"\r\n"), PLAIN.replace(b"\n", b"\r\n") + DONE),
    "lines that end in CR": ((PLAIN + DONE).replace(b"\n", b"\r"), PLAIN.replace(b"\n", b"\r") + DONE),
    "a byte order mark": (b"\xef\xbb\xbf" + PLAIN + DONE, PLAIN + DONE),
    "characters of several bytes": (UTF8 + DONE, UTF8 + DONE),
    "events of several lines": (SPREAD + DONE, SPREAD + DONE),
    "comments": (b": hi\n\n" + PLAIN + b": bye\n\n" + DONE, b": hi\n\n" + PLAIN + b": bye\n\n" + DONE),
    "an event without choices first": (FILTERED + DONE, FILTERED + DONE),
    "numbers and escapes": (NUMBERS + DONE, NUMBERS + DONE),
    "tool calls": (TOOLS + DONE, TOOLS + DONE),
    "usage in an event of its own": (PLAIN + USAGE + DONE, PLAIN + DONE),
    "usage in the last event": (FINISH_USAGE + DONE, FINISH_USAGE + DONE),
    "no [DONE]": (PLAIN + USAGE, PLAIN + DONE),
    "no blank line at the end": (PLAIN + DONE[:-2], PLAIN + DONE),
    "an event of 1 MB": (LONG + DONE, LONG + DONE),
}


def pieces(size: int) -> Callable[[bytes], list[bytes]]:
    return lambda body: [body[start : start + size] for start in range(0, len(body), size)]


def by_event(body: bytes) -> list[bytes]:
    return [event for event in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)", body) if event]


SPLITS: dict[str, Callable[[bytes], list[bytes]]] = {
    "bytes": pieces(1),
    "seven bytes": pieces(7),
    "events": by_event,
    "one piece": pieces(2**30),
}
LONG_SPLITS = {"thousands": pieces(1000), "events": by_event, "one piece": pieces(2**30)}


def splits(sentence: str) -> dict[str, Callable[[bytes], list[bytes]]]:
    return LONG_SPLITS if "1 MB" in sentence else SPLITS


def chunks(parts: list[bytes]) -> Behaviour:
    """Each part a chunk and a write of its own."""

    async def behave(peer: Peer) -> bool:
        await peer.send(SSE_HEAD)
        for part in parts:
            await peer.chunk(part)
            await asyncio.sleep(0)
        await peer.send(END)
        return True

    return behave


def by_byte(data: bytes) -> Behaviour:
    """An answer of which each byte is a write of its own, head and framing included."""

    async def behave(peer: Peer) -> bool:
        for start in range(len(data)):
            await peer.send(data[start : start + 1])
            await asyncio.sleep(0)
        return True

    return behave


def behaviours() -> dict[str, Behaviour]:
    found: dict[str, Behaviour] = {
        "good": chat("all is well"),
        "bytes of a whole answer": by_byte(JSON_HEAD % (200, len(completion()), b"") + completion()),
        "bytes of a stream": by_byte(SSE_HEAD + framed(ROLE, words("one ", "two"), STOP + DONE) + END),
    }
    for sentence, (body, _) in STREAMS.items():
        for name, split in splits(sentence).items():
            found[f"{slug(sentence)} in {name}"] = chunks(split(body))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    async with Upstream(behaviours()) as upstream:
        with relaying(tmp_path_factory.mktemp("streams"), upstream, document(upstream)) as relay:
            yield relay


# The same bytes, however they come.

SPLIT_ROWS = [(sentence, name) for sentence in STREAMS for name in splits(sentence)]


@pytest.mark.parametrize(("sentence", "split"), SPLIT_ROWS, ids=[f"{s} in {n}" for s, n in SPLIT_ROWS])
async def test_a_stream_is_relayed_to_the_byte_however_it_is_split(
    case: Relay, sentence: str, split: str
) -> None:
    answer = await ask(case.port, f"{slug(sentence)} in {split}", stream=True)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.body == STREAMS[sentence][1]
    assert case.upstream.requests[-1].json["stream_options"] == {"include_usage": True}


async def test_the_splits_were_all_answered_well(case: Relay) -> None:
    counted = case.requests(status="success", code="ok")
    for sentence, name in SPLIT_ROWS[:4]:
        answer = await ask(case.port, f"{slug(sentence)} in {name}", stream=True)
        line = case.line(answer)
        assert (line["status"], line["attempts"]) == ("success", 1)
        assert "interrupted" not in line
        assert line["bytes_out"] == len(answer.body)
    assert case.requests(status="success", code="ok") == counted + 4


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_answer_may_come_byte_by_byte_on_the_wire(case: Relay, stream: bool) -> None:
    answer = await ask(case.port, f"bytes of a {'stream' if stream else 'whole answer'}", stream=stream)

    assert answer.status == 200
    assert answer.body == (PLAIN + DONE if stream else completion())
    assert case.line(answer)["status"] == "success"


# Usage.

ASKED: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing is said of it": ({}, False),
    "it is asked for": ({"stream_options": {"include_usage": True}}, True),
    "it is declined": ({"stream_options": {"include_usage": False}}, False),
    "null stands for it": ({"stream_options": None}, False),
}


@pytest.mark.parametrize("sentence", ASKED)
async def test_usage_is_asked_for_and_counted_and_shown_to_those_who_ask(case: Relay, sentence: str) -> None:
    fields, shown = ASKED[sentence]
    counted = case.gateway.metric("llm_gateway_tokens_total", type="output")

    answer = await ask(case.port, "good", stream=True, **fields)

    assert case.upstream.requests[-1].json["stream_options"]["include_usage"] is True
    assert (USAGE in answer.body) == shown
    assert (b"usage" in answer.body) == shown
    assert (answer.text, answer.done) == ("alliswell", True)
    assert case.line(answer)["tokens"] == {"input": 3, "output": 2, "total": 5}
    assert case.gateway.metric("llm_gateway_tokens_total", type="output") == counted + 2
