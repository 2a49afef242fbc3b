"""Attempts on a clock that tests set, before a scripted upstream: deadlines, retries, what is held, what is counted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from llm_gateway.call import ShuttingDown
from llm_gateway.runtime import build
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_testing.client import Answer, chat_body, request
from llm_gateway_testing.driven import SetClock
from llm_gateway_testing.inprocess import FakeClient, InProcess, load
from llm_gateway_testing.upstream import (
    ROLE,
    SSE_HEAD,
    Behaviour,
    Peer,
    Upstream,
    answers,
    chat,
    completion,
    event,
    streams,
    words,
)

HEADERS, HASTY = 2.0, 1.0  # seconds: timeouts.headers of `raw`, timeouts.total of `hasty`
PADDED_ROLE = event({"role": "assistant", "content": ""}, padding="x" * 60_000)


async def silent(peer: Peer) -> bool:
    await peer.gone()
    return False


async def fails_late(peer: Peer) -> bool:
    await peer.go_on.wait()
    return await answers(500, b"{}")(peer)


async def large_late(peer: Peer) -> bool:
    await peer.go_on.wait()
    return await answers(200, completion("x" * 5000))(peer)


async def goes_stale(peer: Peer) -> bool:
    """A new connection carries one answer; when it is used again, it closes as soon as the test says so."""
    if peer.served == 0:
        return await chat("fresh")(peer)
    await peer.go_on.wait()
    return False


async def begins_late(peer: Peer) -> bool:
    await peer.send(SSE_HEAD)
    await peer.chunk(ROLE)
    await peer.go_on.wait()
    await peer.chunk(words("content"))
    return await silent(peer)


BEHAVIOURS: dict[str, Behaviour] = {
    "good": chat(),
    "silent": silent,
    "fails-late": fails_late,
    "large-late": large_late,
    "goes-stale": goes_stale,
    "begins-late": begins_late,
    "no-content": streams(*[PADDED_ROLE] * 20),  # 1.2 MB
}
ROUTES = {
    "silent, good": ["raw/silent", "raw/good"],
    "fails late, good": ["raw/fails-late", "raw/good"],
    "silent, hasty": ["raw/silent", "hasty/good"],
    "silent, hasty, good": ["raw/silent", "hasty/good", "raw/good"],
    "goes stale, good": ["raw/goes-stale", "raw/good"],
    "no content, good": ["raw/no-content", "raw/good"],
}


def document(upstream: Upstream, server: str = "{}") -> str:
    where = f"type: openai_compatible, base_url: {upstream.base_url!r}"
    routed = ""
    for name, targets in ROUTES.items():
        routed += f"    {name!r}:\n      targets:\n"
        for priority, target in enumerate(targets):
            provider, _, model = target.partition("/")
            routed += f"        - {{provider: {provider}, model: {model}, priority: {priority}}}\n"
    return f"""server: {server}
providers:
  raw: {{{where}, models: {list(BEHAVIOURS)}, timeouts: {{headers: {HEADERS:g}s}}}}
  hasty: {{{where}, models: [good], timeouts: {{total: {HASTY:g}s}}}}
routing:
  models:
{routed}"""


@dataclass(frozen=True)
class Case:
    upstream: Upstream
    clock: SetClock
    process: InProcess
    client: FakeClient

    async def ask(self, model: str, *, stream: bool = False) -> Answer:
        self.begin(model, stream=stream)
        return await self.client.answer()

    def begin(self, model: str, *, stream: bool = False) -> None:
        self.client.feed(request(chat_body(model, stream=stream)))

    async def reaches(self, model: str, times: int = 1) -> None:
        """Returns when the upstream has got that many requests to a model."""
        await until(lambda: self.asked.count(model) == times)

    def pass_time(self, seconds: float) -> None:
        self.clock.time += seconds
        for signal in list(self.clock.waiting):
            signal.fire()

    @property
    def asked(self) -> list[str]:
        return [each.json["model"] for each in self.upstream.requests]

    @property
    def record(self) -> RequestRecord:
        return self.process.records[-1]

    @property
    def attempts(self) -> dict[tuple[str, ...], float]:
        """By provider and outcome."""
        return {labels: child.value for labels, child in self.process.instruments.attempts.children()}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # nobody tells when it holds
            await asyncio.sleep(0.002)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    clock = SetClock(asyncio.get_running_loop())
    async with Upstream(BEHAVIOURS) as upstream:
        process = InProcess(document(upstream), clock=clock)
        client = process.connect()
        yield Case(upstream, clock, process, client)
        client.transport.lose()
        assert process.gateway.held_size == 0
        assert not process.reported


# Deadlines.


async def test_a_target_whose_time_is_used_up_is_not_tried(case: Case) -> None:
    case.begin("silent, hasty, good", stream=True)
    await case.reaches("silent")
    case.pass_time(HEADERS)
    answer = await case.client.answer()
    assert (answer.status, answer.text) == (200, "hello")
    assert case.attempts == {("raw", "timeout"): 1, ("raw", "success"): 1}
    assert (case.record.provider, case.record.attempts) == ("raw", 2)


async def test_when_no_target_has_time_left_the_failures_before_are_told(case: Case) -> None:
    case.begin("silent, hasty", stream=True)
    await case.reaches("silent")
    case.pass_time(HEADERS)
    answer = await case.client.answer()
    assert (answer.status, answer.error["code"]) == (504, "provider_timeout")
    assert "hasty" not in answer.error["message"]
    assert case.attempts == {("raw", "timeout"): 1}
    assert (case.record.provider, case.record.attempts) == ("raw", 1)


# Overhead.


async def test_the_time_of_a_silent_target_is_not_overhead(case: Case) -> None:
    case.begin("silent, good", stream=True)
    await case.reaches("silent")
    case.pass_time(HEADERS)
    assert (await case.client.answer()).text == "hello"
    assert case.record.attempts == 2
    assert case.record.overhead == pytest.approx(0.0, abs=1e-6)


async def test_the_time_of_a_target_that_fails_late_is_not_overhead(case: Case) -> None:
    case.begin("fails late, good")
    await case.reaches("fails-late")
    case.pass_time(0.5)
    case.upstream.go_on.set()
    assert (await case.client.answer()).text == "hello"
    assert case.record.attempts == 2
    assert case.record.overhead == pytest.approx(0.0, abs=1e-6)


# Connections that were used before.

STALE: dict[str, tuple[float, str, list[str]]] = {
    # Seconds from the request to the close; the answer; what the upstream was asked in all.
    "soon, it is sent again": (0.5, "fresh", ["goes-stale", "goes-stale", "goes-stale"]),
    "late, another target is asked": (1.5, "hello", ["goes-stale", "goes-stale", "good"]),
}


@pytest.mark.parametrize(("seconds", "text", "asked"), STALE.values(), ids=STALE)
async def test_a_used_connection_that_closes_without_an_answer(
    case: Case, seconds: float, text: str, asked: list[str]
) -> None:
    """After a while the upstream may have been at work on the request: the same work is not asked for twice."""
    assert (await case.ask("goes stale, good")).text == "fresh"
    case.begin("goes stale, good")
    await case.reaches("goes-stale", times=2)
    case.pass_time(seconds)
    case.upstream.go_on.set()
    assert (await case.client.answer()).text == text
    assert case.asked == asked
    assert case.record.attempts == len(set(asked))
    assert case.record.overhead == pytest.approx(0.0, abs=1e-6)


# What is held.


async def test_events_without_content_are_not_taken_in_for_ever(case: Case) -> None:
    answer = await case.ask("no content, good", stream=True)
    assert (answer.status, answer.text) == (200, "hello")
    assert case.attempts == {("raw", "bad_answer"): 1, ("raw", "success"): 1}
    assert case.process.gateway.held_size == 0


async def test_events_before_the_first_content_count_as_held_until_they_are_sent(case: Case) -> None:
    gateway = case.process.gateway
    case.begin("begins-late", stream=True)
    await until(lambda: gateway.held_size > 0)
    case.upstream.go_on.set()
    await case.client.written(b"content")
    assert gateway.held_size == 0
    assert not case.process.records, "the stream goes on"


# Edits of the document.


async def test_a_request_keeps_the_limits_that_it_began_with(case: Case) -> None:
    case.begin("large-late")
    await case.reaches("large-late")
    edited = load(document(case.upstream, "{max_response_body_size: 1KB}"))
    case.process.gateway.runtime = build(edited, Upstreams(case.clock))
    case.upstream.go_on.set()
    assert len((await case.client.answer()).text) == 5000
    assert (await case.ask("large-late")).status == 502


# Attempts that nobody lets end.


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_attempt_whose_client_leaves_is_abandoned(case: Case, stream: bool) -> None:
    case.begin("silent, good", stream=stream)
    await case.reaches("silent")
    case.client.transport.lose()
    assert case.record.code == "client_disconnected"
    assert case.attempts == {("raw", "abandoned"): 1}


async def test_an_attempt_whose_client_leaves_in_the_middle_of_a_stream_is_abandoned(case: Case) -> None:
    case.upstream.go_on.set()
    case.begin("begins-late", stream=True)
    await case.client.written(b"content")
    case.client.transport.lose()
    assert case.record.interrupted == "client"
    assert case.attempts == {("raw", "abandoned"): 1}


async def test_an_attempt_that_a_shutdown_ends_is_abandoned(case: Case) -> None:
    case.begin("silent")
    await case.reaches("silent")
    case.client.connection.interrupt(ShuttingDown("the gateway is shutting down"))
    assert (await case.client.answer()).status == 503
    assert case.attempts == {("raw", "abandoned"): 1}
