"""The mock provider behind a real gateway: each fault that a model's name asks for, alone and with another target."""

from collections.abc import Iterator
from typing import Any

import pytest

from llm_gateway_testing.client import ask
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running

# Model: status, error type and outcome of the attempt, for whole answers and for streams.
ERROR = (502, "provider_error")
TIMEOUT = (504, "provider_error")
FAULTS: dict[str, tuple[tuple[int, str], str]] = {
    "fault-status-500": (ERROR, "status"),
    "fault-status-503": (ERROR, "status"),
    "fault-status-408": (ERROR, "status"),
    "fault-status-401": (ERROR, "credential"),
    "fault-status-403": (ERROR, "credential"),
    "fault-status-429-retry-2": ((429, "rate_limit_error"), "rate_limit"),
    "fault-refuse": (ERROR, "connect"),
    "fault-reset": (ERROR, "reset"),
    "fault-html": (ERROR, "bad_answer"),
    "fault-empty": (ERROR, "bad_answer"),
    "fault-silence": (TIMEOUT, "timeout"),
}
# Only a whole answer fails before its first content.
WHOLE_FAULTS = FAULTS | {
    "fault-cut": (ERROR, "truncated"),
    "fault-malformed": (ERROR, "bad_answer"),
    "fault-error-event": (ERROR, "bad_answer"),
    "fault-stall": (TIMEOUT, "timeout"),
}
# Why a stream that had begun is broken, and the code of its last event.
MIDWAY = {
    "fault-cut": ("upstream", "stream_interrupted"),
    "fault-malformed": ("upstream", "stream_interrupted"),
    "fault-error-event": ("upstream", "stream_interrupted"),
    "fault-stall": ("timeout", "provider_timeout"),
}
FINE = ("echo", "lorem", "anything", "slow-300ms", "fault-no-done", "fault-of-no-kind")

# Slow enough for the first tokens of an answer to arrive before its fault does.
DOCUMENT = (
    ANY_PORT
    + """
providers:
  mock:
    type: mock
    models: [fault-refuse]  # whether to connect must be known before there is a request
    open_models: {}
    timeouts: {headers: 500ms, idle: 600ms, total: 1500ms}
    mock: {tokens_per_second: 20, answer_tokens: 6}
  spare: {type: mock, models: [echo]}
routing:
  models:
"""
    + "".join(
        f"    {model}+spare:\n      targets:\n"
        f"        - {{provider: mock, model: {model}, priority: 0}}\n"
        f"        - {{provider: spare, model: echo, priority: 1}}\n"
        for model in WHOLE_FAULTS
    )
)
ROWS = [(model, True) for model in FAULTS] + [(model, False) for model in WHOLE_FAULTS]
both = pytest.mark.parametrize(
    ("model", "stream"), ROWS, ids=[f"{'stream' if s else 'whole'}, {m}" for m, s in ROWS]
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("mock"), DOCUMENT) as gateway:
        yield gateway
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.errors()


def attempts(gateway: RunningGateway, outcome: str) -> float:
    return gateway.metric("llm_gateway_upstream_attempts_total", provider="mock", outcome=outcome)


@both
async def test_a_fault_by_name_is_met_as_a_real_one(
    gateway: RunningGateway, model: str, stream: bool
) -> None:
    (status, kind), outcome = (FAULTS if stream else WHOLE_FAULTS)[model]
    before = attempts(gateway, outcome)

    answer = await ask(gateway.port, f"mock/{model}", stream=stream)

    assert (answer.status, answer.error["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("2" if status == 429 else None)
    line = gateway.request(answer.request_id)
    assert (line["status"], line["http_status"], line["attempts"]) == ("error", status, 1)
    label = "mock/fault-refuse" if model == "fault-refuse" else "mock/*"
    assert (line["model"], line["target_model"]) == (label, model)
    assert attempts(gateway, outcome) == before + 1


@both
async def test_another_target_answers_instead(gateway: RunningGateway, model: str, stream: bool) -> None:
    answer = await ask(gateway.port, f"{model}+spare", stream=stream)

    assert (answer.status, answer.text) == (200, "hi")
    assert answer.done if stream else answer.json["usage"]["total_tokens"] > 0
    line = gateway.request(answer.request_id)
    assert (line["status"], line["attempts"], line["provider"]) == ("success", 2, "spare")


@pytest.mark.parametrize("suffix", ["", "+spare"], ids=["alone", "with another target"])
@pytest.mark.parametrize("model", MIDWAY)
async def test_a_stream_breaks_in_the_middle(gateway: RunningGateway, model: str, suffix: str) -> None:
    reason, code = MIDWAY[model]
    asked = f"{model}{suffix}" if suffix else f"mock/{model}"

    answer = await ask(gateway.port, asked, stream=True)

    assert answer.status == 200
    assert len(answer.text.split()) == 3
    assert not answer.done
    assert (answer.error["type"], answer.error["code"]) == ("provider_error", code)
    line = gateway.request(answer.request_id)
    assert (line["status"], line["interrupted"], line["attempts"]) == ("error", reason, 1)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", FINE)
async def test_other_models_answer_with_usage_that_adds_up(
    gateway: RunningGateway, model: str, stream: bool
) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}

    answer = await ask(gateway.port, f"mock/{model}", stream=stream, **options)

    assert (answer.status, bool(answer.text)) == (200, True)
    assert (answer.text == "hi") == (model == "echo")
    line = gateway.request(answer.request_id)
    assert (line["status"], line["attempts"]) == ("success", 1)
    assert line["tokens"]["input"] + line["tokens"]["output"] == line["tokens"]["total"]
    assert "estimated" not in line["tokens"]
    if stream:
        assert answer.done
        assert answer.body.count(b'"usage":{') == 1
    if model == "slow-300ms":
        assert line["time_to_first_token_ms"] > 290  # the event loop's timers count whole milliseconds
