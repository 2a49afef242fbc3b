"""Pooled connections to upstreams: used again, and not missed when one closes just as a request goes out."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from llm_gateway_testing.client import Answer, ask
from llm_gateway_testing.gateway import ANY_PORT
from llm_gateway_testing.relay import Relay, relaying
from llm_gateway_testing.upstream import Behaviour, Peer, Upstream, chat

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Fickle:
    """Answers the first request; `second` happens to the second one, and `later` to all that follow."""

    def __init__(self, second: Behaviour, later: Behaviour) -> None:
        self._second, self._later = second, later
        self._asked = 0

    async def __call__(self, peer: Peer) -> bool:
        self._asked += 1
        if self._asked == 1:
            return await chat("first")(peer)
        return await (self._second if self._asked == 2 else self._later)(peer)


async def closes(peer: Peer) -> bool:
    return False


async def resets(peer: Peer) -> bool:
    peer.reset()
    return False


async def closes_in_the_head(peer: Peer) -> bool:
    await peer.send(b"HTTP/1.1 200 O")
    return False


class ClosesWhenIdle:
    """Closes after each answer, without having said so; `seen` is set when the gateway has noticed."""

    def __init__(self) -> None:
        self.seen = asyncio.Event()

    async def __call__(self, peer: Peer) -> bool:
        self.seen.clear()
        await chat("and closed")(peer)
        peer.writer.write_eof()
        await peer.gone()
        self.seen.set()
        return False


async def says_close(peer: Peer) -> bool:
    """Keeps the connection open although it said that it would not."""
    await peer.send(b"HTTP/1.1 500 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    await peer.gone()
    return False


def stale(second: Behaviour) -> Fickle:
    return Fickle(second, chat("again"))


BEHAVIOURS: dict[str, Behaviour] = {
    "steady": chat("steady"),
    "closes": stale(closes),
    "resets": stale(resets),
    "closes-stream": stale(closes),
    "resets-stream": stale(resets),
    "closes-twice": Fickle(closes, closes),
    "resets-twice": Fickle(resets, resets),
    "closes-in-the-head": stale(closes_in_the_head),
    "closes-when-idle": ClosesWhenIdle(),
    "says-close": says_close,
    "closes-at-once": closes,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    async with Upstream(BEHAVIOURS) as upstream:
        # A key of its own for each provider gives each a pool of its own.
        providers = "".join(
            f"  {name}: {{type: openai_compatible, base_url: {upstream.base_url!r}, api_key: sk-{name},"
            f" models: [{name}]}}\n"
            for name in BEHAVIOURS
        )
        text = f"{ANY_PORT}providers:\n{providers}"
        with relaying(tmp_path_factory.mktemp("keep_alive"), upstream, text) as relay:
            yield relay


class Count:
    """Requests and connections that the upstream saw since."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._requests, self._connections = len(upstream.requests), upstream.connections

    @property
    def now(self) -> tuple[int, int]:
        return len(self._upstream.requests) - self._requests, self._upstream.connections - self._connections


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_connection_serves_one_request_after_the_other(case: Relay, stream: bool) -> None:
    await ask(case.port, "steady", stream=stream)
    count = Count(case.upstream)

    for _ in range(10):
        answer = await ask(case.port, "steady", stream=stream)
        assert (answer.status, answer.text) == (200, "steady")

    assert count.now == (10, 0)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_connection_that_closes_under_a_request_costs_nothing(
    case: Relay, how: str, stream: bool
) -> None:
    model = f"{how}-stream" if stream else how
    assert (await ask(case.port, model, stream=stream)).text == "first"
    count = Count(case.upstream)

    answer = await ask(case.port, model, stream=stream)

    assert (answer.status, answer.text) == (200, "again")
    assert count.now == (2, 1)
    line = case.line(answer)
    assert (line["status"], line["attempts"]) == ("success", 1)
    assert "error" not in line
    assert attempts(case, model, "success") == 2
    assert attempts(case, model, "reset") == 0


@pytest.mark.parametrize("model", ["closes-twice", "resets-twice"])
async def test_only_the_first_retry_is_free(case: Relay, model: str) -> None:
    assert (await ask(case.port, model)).text == "first"
    count = Count(case.upstream)

    await failed(case, await ask(case.port, model), model)

    assert count.now == (2, 1)


async def test_a_request_whose_answer_had_begun_is_not_sent_again(case: Relay) -> None:
    assert (await ask(case.port, "closes-in-the-head")).text == "first"
    count = Count(case.upstream)

    await failed(case, await ask(case.port, "closes-in-the-head"), "closes-in-the-head")

    assert count.now == (1, 0)


async def test_a_new_connection_that_closes_is_a_failure_at_once(case: Relay) -> None:
    count = Count(case.upstream)

    await failed(case, await ask(case.port, "closes-at-once"), "closes-at-once")

    assert count.now == (1, 1)


async def test_a_connection_that_closed_while_it_was_idle_is_forgotten(case: Relay) -> None:
    behave = case.upstream.behaviours["closes-when-idle"]
    assert isinstance(behave, ClosesWhenIdle)
    count = Count(case.upstream)

    for _ in range(3):
        answer = await ask(case.port, "closes-when-idle")
        assert (answer.status, answer.text) == (200, "and closed")
        async with asyncio.timeout(10):
            await behave.seen.wait()

    assert count.now == (3, 3)


async def test_a_connection_that_was_said_to_close_is_not_used_again(case: Relay) -> None:
    count = Count(case.upstream)

    for _ in range(2):
        assert (await ask(case.port, "says-close")).status == 502

    assert count.now == (2, 2)


async def failed(case: Relay, answer: Answer, model: str) -> None:
    assert (answer.status, answer.error["type"]) == (502, "provider_error")
    assert "closed the connection" in answer.error["message"]
    line = case.line(answer)
    assert (line["status"], line["attempts"]) == ("error", 1)
    assert attempts(case, model, "reset") == 1


def attempts(case: Relay, provider: str, outcome: str) -> float:
    return case.gateway.metric("llm_gateway_upstream_attempts_total", provider=provider, outcome=outcome)
