"""Silent streams: comments keep them alive, and until the first content another target may still answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from llm_gateway_testing.client import Answer, Open, chat_body, opened, request
from llm_gateway_testing.faults import error, sends
from llm_gateway_testing.relay import Relay, document, relaying
from llm_gateway_testing.upstream import (
    DONE,
    END,
    ROLE,
    SSE_HEAD,
    STOP,
    Behaviour,
    Peer,
    Upstream,
    answers,
    chat,
    framed,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEARTBEAT = b": keep-alive\n\n"
INTERVAL = ", stream_heartbeat: 500ms"


def waits(then: Behaviour, before: bytes = b"") -> Behaviour:
    """Silent until the test says so."""

    async def behave(peer: Peer) -> bool:
        if before:
            await peer.send(before)
        await peer.go_on.wait()
        return await then(peer)

    return behave


def streams_on(*parts: bytes) -> Behaviour:
    """The rest of a stream whose head has gone out."""

    async def behave(peer: Peer) -> bool:
        await peer.send(framed(*parts) + END)
        return True

    return behave


BEHAVIOURS: dict[str, Behaviour] = {
    "good": chat("all is well"),
    "silent, then a stream": waits(chat("all is well")),
    "silent, then a reset": waits(sends(b"", "reset")),
    "silent, then a reset too": waits(sends(b"", "reset")),
    "silent, then 400": waits(answers(400, error("too hot"))),
    "silent after the head": waits(streams_on(ROLE, words("late"), STOP, DONE), SSE_HEAD),
    "silent in the middle": waits(streams_on(words("two"), STOP, DONE), SSE_HEAD + framed(words("one "))),
}
ROUTES = {
    "heartbeat, then another target": ["silent, then a reset", "good"],
    "heartbeat, then nobody": ["silent, then a reset", "silent, then a reset too"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beating(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    async with Upstream(BEHAVIOURS) as upstream:
        text = document(upstream, ROUTES, INTERVAL)
        with relaying(tmp_path_factory.mktemp("heartbeats"), upstream, text) as relay:
            yield relay


async def until_heartbeat(call: Open) -> tuple[dict[str, str], bytes]:
    """Head and bytes up to and with the first comment of the gateway."""
    status, headers = await call.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return headers, await call.until(HEARTBEAT)


async def kept_alive(case: Relay, model: str) -> Answer:
    """The answer of an upstream that speaks only after a comment has reached the client; without the comments."""
    case.upstream.go_on.clear()
    async with opened(case.port, request(chat_body(model, stream=True))) as call:
        headers, seen = await until_heartbeat(call)
        case.upstream.go_on.set()
        body = seen + await call.body(headers)
    assert HEARTBEAT in body
    return Answer(200, headers, body.replace(HEARTBEAT, b""))


SILENT = {
    "silent, then a stream": "alliswell",
    "silent after the head": "late",
    "silent in the middle": "one two",
}


@pytest.mark.parametrize("model", SILENT)
async def test_a_silent_stream_gets_comments(beating: Relay, model: str) -> None:
    answer = await kept_alive(beating, model)

    assert (answer.text, answer.done) == (SILENT[model], True)
    line = beating.line(answer)
    assert (line["status"], line["attempts"]) == ("success", 1)


async def test_another_target_may_still_answer_after_comments(beating: Relay) -> None:
    answer = await kept_alive(beating, "heartbeat, then another target")

    assert (answer.text, answer.done) == ("alliswell", True)
    line = beating.line(answer)
    assert (line["status"], line["attempts"], line["target_model"]) == ("success", 2, "good")
    assert "interrupted" not in line


async def test_an_error_after_comments_is_the_last_event(beating: Relay) -> None:
    answer = await kept_alive(beating, "heartbeat, then nobody")

    assert len(answer.data) == 1
    assert answer.error["type"] == "provider_error"
    assert "closed the connection" in answer.error["message"]
    line = beating.line(answer)
    assert (line["status"], line["code"], line["http_status"]) == ("error", "provider_error", 200)
    assert line["attempts"] == 2
    assert "interrupted" not in line


async def test_a_refusal_after_comments_is_the_last_event(beating: Relay) -> None:
    answer = await kept_alive(beating, "silent, then 400")

    assert len(answer.data) == 1
    assert (answer.error["type"], answer.error["message"]) == ("invalid_request_error", "too hot")
    line = beating.line(answer)
    assert (line["status"], line["http_status"], line["attempts"]) == ("client_error", 200, 1)


async def test_an_answer_in_one_piece_gets_no_comments(beating: Relay) -> None:
    beating.upstream.go_on.clear()
    async with opened(beating.port, request(chat_body("silent, then a stream"))) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await call.reader.read(1)
        beating.upstream.go_on.set()
        answer = await call.answer()

    assert (answer.status, answer.text) == (200, "all is well")
