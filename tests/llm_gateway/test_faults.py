"""Every fault of an upstream, alone and with another target behind it: answers, log lines, metrics."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.samples import Sample

from llm_gateway_testing.client import Answer, ask, chat_body, opened, request
from llm_gateway_testing.faults import (
    BEFORE_CONTENT,
    BEGUN,
    FINISHED,
    KEY,
    MIDWAY,
    PROVIDERS,
    RELAYED,
    WHOLE,
    Fault,
    error,
    slug,
)
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running
from llm_gateway_testing.upstream import Behaviour, Upstream, answers, chat

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPARE = "+spare"
RELAYED_413 = "relayed 413"
ADDRESS = "127.0.0.1"
SIDE_BY_SIDE = 8

# Header lines of a 429, by target; the Retry-After that the client gets when there is no other target.
DATED = b"Date: Tue, 04 Aug 2026 10:00:00 GMT\r\nRetry-After: Tue, 04 Aug 2026 10:00:42 GMT\r\n"
RETRY_AFTER: dict[str, tuple[tuple[bytes, ...], str | None]] = {
    "no header": ((b"",), None),
    "seconds": ((b"Retry-After: 7\r\n",), "7"),
    "half a second": ((b"Retry-After: 0.5\r\n",), "1"),
    "milliseconds": ((b"retry-after-ms: 2500\r\n",), "3"),
    "milliseconds of Azure": ((b"x-ms-retry-after-ms: 4000\r\n",), "4"),
    "milliseconds beside seconds": ((b"Retry-After: 9\r\nretry-after-ms: 1500\r\n",), "2"),
    "a date": ((DATED,), "42"),
    "a date that has passed": ((DATED.replace(b":42 ", b":00 "),), "1"),
    "a word": ((b"Retry-After: soon\r\n",), None),
    "a negative number": ((b"Retry-After: -3\r\n",), "1"),
    "the smallest of two": ((b"Retry-After: 9\r\n", b"retry-after-ms: 3000\r\n"), "3"),
    "the only one of two": ((b"", b"Retry-After: 11\r\n"), "11"),
    "the smallest of three": ((DATED, b"Retry-After: 20\r\n", b"Retry-After: 30\r\n"), "20"),
}

# Faults of the targets in order; status, error type and code for the client.
TOGETHER: dict[str, tuple[tuple[str, ...], tuple[int, str, str | None]]] = {
    "500 and refused": (("answers 500", "refuses the connection"), (502, "provider_error", None)),
    "429 and 500": (("answers 429", "answers 500"), (502, "provider_error", None)),
    "500 and 429": (("answers 500", "answers 429"), (502, "provider_error", None)),
    "429 and 401": (("answers 429", "answers 401"), (502, "provider_error", None)),
    "401 and 401": (("answers 401", "answers 403"), (502, "provider_error", None)),
    "429 and a spent quota": (
        ("answers 429", "answers 429 for a spent quota"),
        (429, "rate_limit_error", None),
    ),
    "a timeout and 500": (
        ("does not finish connecting", "answers 500"),
        (504, "provider_error", "provider_timeout"),
    ),
    "429 and a timeout": (
        ("answers 429", "does not finish connecting"),
        (504, "provider_error", "provider_timeout"),
    ),
    "500 and a wrong request": (("answers 500", RELAYED_413), (413, "invalid_request_error", None)),
}
EVERY = BEFORE_CONTENT | WHOLE

REQUESTS = "llm_gateway_requests_total"
ATTEMPTS = "llm_gateway_upstream_attempts_total"
INTERRUPTED = "llm_gateway_interrupted_streams_total"
COUNTERS = (REQUESTS, ATTEMPTS, INTERRUPTED)


@dataclass(frozen=True)
class Case:
    """`answers`: to all requests that need no step of their own, run side by side; `samples`: metrics after them."""

    gateway: RunningGateway
    upstream: Upstream
    answers: Mapping[tuple[str, bool], Answer | BaseException]
    samples: Mapping[str, Sequence[Sample]]

    def of(self, model: str, stream: bool) -> tuple[Answer, dict[str, Any]]:
        """The answer, and the line of the log about it."""
        answer = self.answers[model, stream]
        if isinstance(answer, BaseException):
            raise answer
        return answer, self.gateway.request(answer.request_id)

    def counted(self, metric: str, **labels: str) -> float:
        samples = self.samples[metric]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def behaviours() -> dict[str, Behaviour]:
    """What the upstream does, by the names that the gateway gives its models."""
    found: dict[str, Behaviour] = {"good": chat("all is well")}
    found |= {slug(sentence): fault.behave for sentence, fault in EVERY.items()}
    found |= {f"midway-{slug(sentence)}": fault.behave for sentence, fault in MIDWAY.items()}
    found |= {f"finished-{slug(sentence)}": behave for sentence, (_, behave) in FINISHED.items()}
    found |= {
        f"relayed-{slug(sentence)}": answers(status, body) for sentence, (status, body, _) in RELAYED.items()
    }
    for sentence, (headers, _) in RETRY_AFTER.items():
        for number, lines in enumerate(headers):
            found[f"retry-{slug(sentence)}-{number}"] = answers(429, error(), lines)
    return found


def models() -> Iterator[tuple[str, str]]:
    """Providers and the models that they serve."""
    yield from ((fault.provider, slug(sentence)) for sentence, fault in EVERY.items())
    yield from ((fault.provider, f"midway-{slug(sentence)}") for sentence, fault in MIDWAY.items())
    yield from ((provider, f"finished-{slug(sentence)}") for sentence, (provider, _) in FINISHED.items())
    yield from (("plain", f"relayed-{slug(sentence)}") for sentence in RELAYED)
    for sentence, (headers, _) in RETRY_AFTER.items():
        yield from (("plain", f"retry-{slug(sentence)}-{number}") for number in range(len(headers)))


def routes() -> dict[str, list[str]]:
    """Models of more than one target, each `provider/model`, in the order in which they are tried."""
    served = {model: f"{provider}/{model}" for provider, model in models()}
    found = {f"{model}{SPARE}": [target, "spare/good"] for model, target in served.items()}
    for sentence, (faults, _) in TOGETHER.items():
        found[f"together-{slug(sentence)}"] = [served[slug(fault)] for fault in faults]
    for sentence, (headers, _) in RETRY_AFTER.items():
        name = f"retry-{slug(sentence)}"
        found[name] = [served[f"{name}-{number}"] for number in range(len(headers))]
    return found


def document(urls: Mapping[str, str]) -> str:
    """`urls`: where the providers are that are not at "plain"."""
    served: dict[str, list[str]] = {provider: [] for provider in PROVIDERS} | {"spare": ["good"]}
    for provider, model in models():
        served[provider].append(model)
    lines = [ANY_PORT.replace("}", ", max_response_body_size: 1MB}"), "providers:\n"]
    for provider, names in served.items():
        url = urls.get(provider, urls["plain"])
        lines.append(
            f"  {provider}: {{type: openai_compatible, base_url: {url!r}, api_key: {KEY},"
            f" timeouts: {PROVIDERS.get(provider, '{}')}, models: {names}}}\n"
        )
    lines.append("routing:\n  models:\n")
    for name, targets in routes().items():
        lines.append(f"    {name!r}:\n      targets:\n")
        for priority, target in enumerate(targets):
            provider, _, model = target.partition("/")
            lines.append(f"        - {{provider: {provider}, model: {model!r}, priority: {priority}}}\n")
    return "".join(lines)


def requests() -> list[tuple[str, bool]]:
    """Models, and whether to stream, of all requests that run side by side."""
    both = [f"relayed-{slug(sentence)}{spare}" for sentence in RELAYED for spare in ("", SPARE)]
    both += [f"retry-{slug(sentence)}" for sentence in RETRY_AFTER]
    both += [f"together-{slug(sentence)}" for sentence in TOGETHER]
    found = [(model, stream) for model in both for stream in (True, False)]
    found += [(f"finished-{slug(sentence)}", True) for sentence in FINISHED]
    for table, stream in ((BEFORE_CONTENT, True), (WHOLE, False)):
        found += [(slug(sentence) + spare, stream) for sentence in table for spare in ("", SPARE)]
    return found


async def run_all(port: int) -> dict[tuple[str, bool], Answer | BaseException]:
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(model: str, stream: bool) -> Answer:
        async with room:
            return await ask(port, model, stream=stream)

    todo = requests()
    answers = await asyncio.gather(*(one(model, stream) for model, stream in todo), return_exceptions=True)
    return dict(zip(todo, answers, strict=True))


def closed_port(stack: ExitStack) -> int:
    """A port that refuses connections: it is taken, so that nobody else gets it, but nobody listens."""
    taken = stack.enter_context(socket.socket())
    taken.bind((ADDRESS, 0))
    return int(taken.getsockname()[1])


def full_port(stack: ExitStack) -> int:
    """A port on which connecting neither succeeds nor fails: the queue of its listener is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind((ADDRESS, 0))
    listener.listen(0)
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        async with Upstream(behaviours()) as upstream:
            urls = {
                "plain": upstream.base_url,
                "closed": f"http://{ADDRESS}:{closed_port(stack)}/v1",
                "full": f"http://{ADDRESS}:{full_port(stack)}/v1",
            }
            gateway = stack.enter_context(running(folder, document(urls)))
            seen = await run_all(gateway.port)
            yield Case(gateway, upstream, seen, {name: gateway.samples(name) for name in COUNTERS})
            assert gateway.stop() == 0
            assert "Traceback" not in gateway.errors()
            assert not [
                line for line in gateway.lines() if line["level"] == "ERROR" and line["message"] != "request"
            ]


def rows(stream: bool) -> list[Any]:
    table = BEFORE_CONTENT if stream else WHOLE
    kind = "stream" if stream else "whole"
    return [
        pytest.param(sentence, fault, stream, id=f"{kind}, {sentence}") for sentence, fault in table.items()
    ]


@pytest.mark.parametrize(("sentence", "fault", "stream"), rows(True) + rows(False))
async def test_alone_a_fault_becomes_an_error_of_the_provider(
    case: Case, sentence: str, fault: Fault, stream: bool
) -> None:
    model = slug(sentence)

    answer, line = case.of(model, stream)

    assert answer.status == fault.status
    assert answer.headers["content-type"] == "application/json"
    assert answer.error["type"] == fault.type
    assert fault.says in answer.error["message"]
    assert KEY.encode() not in answer.body
    assert f":{case.upstream.port}".encode() not in answer.body
    assert (line["status"], line["code"], line["level"]) == ("error", fault.code, "ERROR")
    assert (line["http_status"], line["attempts"], line["provider"]) == (fault.status, 1, fault.provider)
    assert line["stream"] == stream
    assert "interrupted" not in line
    modes = (sentence in BEFORE_CONTENT) + (sentence in WHOLE)
    assert case.counted(REQUESTS, model=model) == modes
    assert (
        case.counted(REQUESTS, provider=fault.provider, model=model, status="error", code=fault.code) == modes
    )
    assert case.counted(INTERRUPTED, model=model) == 0


@pytest.mark.parametrize(("sentence", "fault", "stream"), rows(True) + rows(False))
async def test_another_target_answers_as_if_there_had_been_no_fault(
    case: Case, sentence: str, fault: Fault, stream: bool
) -> None:
    model = slug(sentence) + SPARE

    answer, line = case.of(model, stream)

    assert (answer.status, answer.text) == (200, "alliswell" if stream else "all is well")
    assert answer.done if stream else answer.json["usage"]["total_tokens"] == 5
    assert (line["status"], line["code"], line["http_status"]) == ("success", "ok", 200)
    assert (line["attempts"], line["provider"], line["target_model"]) == (2, "spare", "good")
    assert "interrupted" not in line
    modes = (sentence in BEFORE_CONTENT) + (sentence in WHOLE)
    assert case.counted(REQUESTS, model=model) == modes
    assert case.counted(REQUESTS, provider="spare", model=model, status="success", code="ok") == modes


async def test_every_attempt_is_counted_with_its_outcome(case: Case) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for fault in (*BEFORE_CONTENT.values(), *WHOLE.values()):  # alone and with the spare
        expected[fault.provider, fault.outcome] += 2
        expected["spare", "success"] += 1
    for faults, _ in TOGETHER.values():
        for sentence in faults:
            provider, outcome = ("plain", "status") if sentence == RELAYED_413 else _kind(sentence)
            expected[provider, outcome] += 2
    expected["plain", "rate_limit"] += 2 * sum(len(headers) for headers, _ in RETRY_AFTER.values())
    expected["plain", "status"] += 4 * len(RELAYED)
    expected.update((provider, "success") for provider, _ in FINISHED.values())

    counted = {
        (sample.labels["provider"], sample.labels["outcome"]): sample.value
        for sample in case.samples[ATTEMPTS]
    }

    assert counted == expected


def _kind(sentence: str) -> tuple[str, str]:
    return EVERY[sentence].provider, EVERY[sentence].outcome


@pytest.mark.parametrize("sentence", FINISHED)
async def test_a_stream_that_lacks_only_its_last_event_is_finished(case: Case, sentence: str) -> None:
    answer, line = case.of(f"finished-{slug(sentence)}", True)

    assert (answer.status, answer.text) == (200, "one two")
    assert answer.body.count(b"[DONE]") == 1
    assert answer.data[-1] == b"[DONE]"
    assert (line["status"], line["code"], line["attempts"]) == ("success", "ok", 1)
    assert "interrupted" not in line


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("spare", ["", SPARE], ids=["alone", "with another target"])
@pytest.mark.parametrize("sentence", RELAYED)
async def test_a_wrong_request_is_told_so_and_tried_nowhere_else(
    case: Case, sentence: str, spare: str, stream: bool
) -> None:
    status, _, expected = RELAYED[sentence]
    model = f"relayed-{slug(sentence)}{spare}"

    answer, line = case.of(model, stream)

    assert (answer.status, answer.error) == (status, expected)
    assert KEY.encode() not in answer.body
    assert (line["status"], line["http_status"], line["attempts"]) == ("client_error", status, 1)
    assert (line["level"], line["provider"]) == ("INFO", "plain")
    assert case.counted(REQUESTS, model=model) == 2
    assert case.counted(REQUESTS, provider="plain", model=model, status="client_error") == 2


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("sentence", RETRY_AFTER)
async def test_when_all_targets_say_429_the_smallest_wait_is_passed_on(
    case: Case, sentence: str, stream: bool
) -> None:
    headers, expected = RETRY_AFTER[sentence]

    answer, line = case.of(f"retry-{slug(sentence)}", stream)

    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
    assert answer.headers.get("retry-after") == expected
    assert (line["status"], line["http_status"], line["attempts"]) == ("error", 429, len(headers))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("sentence", TOGETHER)
async def test_faults_of_several_targets_become_one_error(case: Case, sentence: str, stream: bool) -> None:
    faults, (status, kind, code) = TOGETHER[sentence]

    answer, line = case.of(f"together-{slug(sentence)}", stream)

    assert (answer.status, answer.error["type"], answer.error["code"]) == (status, kind, code)
    assert (line["http_status"], line["attempts"]) == (status, len(faults))
    assert line["status"] == ("client_error" if kind == "invalid_request_error" else "error")


@pytest.mark.parametrize("spare", ["", SPARE], ids=["alone", "with another target"])
@pytest.mark.parametrize("sentence", MIDWAY)
async def test_a_stream_that_breaks_ends_with_an_error(case: Case, sentence: str, spare: str) -> None:
    fault, model = MIDWAY[sentence], f"midway-{slug(sentence)}{spare}"
    reason, code = (
        ("timeout", fault.code) if fault.outcome == "timeout" else ("upstream", "stream_interrupted")
    )
    attempts = case.gateway.metric(ATTEMPTS, provider=fault.provider, outcome=fault.outcome)

    answer = await broken(case, model)
    line = case.gateway.request(answer.request_id)

    assert (answer.status, answer.text) == (200, BEGUN)
    assert not answer.done
    assert (answer.error["type"], answer.error["code"]) == ("provider_error", code)
    assert fault.says in answer.error["message"]
    assert "not complete" in answer.error["message"]
    assert (line["status"], line["code"], line["interrupted"]) == ("error", code, reason)
    assert (line["http_status"], line["attempts"], line["provider"]) == (200, 1, fault.provider)
    assert line["tokens"]["output"] == 2
    assert line["tokens"]["estimated"]
    labels = {"provider": fault.provider, "model": model}
    assert case.gateway.metric(REQUESTS, model=model) == 1
    assert case.gateway.metric(REQUESTS, **labels, status="error", code=code) == 1
    assert case.gateway.metric(INTERRUPTED, **labels, reason=reason) == 1
    assert case.gateway.metric(ATTEMPTS, provider=fault.provider, outcome=fault.outcome) == attempts + 1


async def broken(case: Case, model: str) -> Answer:
    """The answer of a stream that breaks only when its client has read what came before."""
    case.upstream.go_on.clear()
    async with opened(case.gateway.port, request(chat_body(model, stream=True))) as call:
        status, headers = await call.head()
        begun = await call.until(BEGUN[-3:].encode())
        case.upstream.go_on.set()
        return Answer(status, headers, begun + await call.body(headers))
