"""What a finished request moves in the metrics, and how they read in Prometheus' text format."""

import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_gateway.telemetry.exposition import Exposition
from llm_gateway.telemetry.instruments import MAX_SERIES, Instruments
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.wire.chat import Usage


def usage(prompt: int, completion: int, cached: int = 0) -> Usage:
    return Usage(
        prompt=prompt,
        completion=completion,
        total=prompt + completion,
        cached=cached,
        reasoning=0,
        estimated=False,
    )


def finished(**fields: object) -> RequestRecord:
    record = RequestRecord("req_1", 100.0, "127.0.0.1", "chat", "openai", "gpt-4o", ended=100.7)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def samples(instruments: Instruments) -> dict[str, float]:
    """`name{label=value,...}` to value, as a scraper reads them; `llm_gateway_` left out."""
    text = Exposition(instruments.registry).render().decode()
    return {
        sample.name.removeprefix("llm_gateway_")
        + (
            "{" + ",".join(f"{k}={v}" for k, v in sample.labels.items()) + "}" if sample.labels else ""
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


Expected = dict[str, float]

SETTLED: dict[str, tuple[RequestRecord, Expected]] = {
    "a success counts request and duration": (
        finished(),
        {
            "requests_total{code=ok,model=chat,provider=openai,status=success}": 1,
            "request_duration_seconds_count{model=chat,provider=openai}": 1,
            "request_duration_seconds_bucket{le=0.5,model=chat,provider=openai}": 0,
            "request_duration_seconds_bucket{le=1.0,model=chat,provider=openai}": 1,
            "request_duration_seconds_bucket{le=+Inf,model=chat,provider=openai}": 1,
            "time_to_first_token_seconds_count{model=chat,provider=openai}": 0,
            "overhead_seconds_count": 0,
        },
    ),
    "first token and overhead are observed when they were measured": (
        finished(first_token=100.2, overhead=80e-6),
        {
            "time_to_first_token_seconds_bucket{le=0.1,model=chat,provider=openai}": 0,
            "time_to_first_token_seconds_bucket{le=0.25,model=chat,provider=openai}": 1,
            "overhead_seconds_bucket{le=5e-05}": 0,
            "overhead_seconds_bucket{le=0.0001}": 1,
            "overhead_seconds_sum": 80e-6,
        },
    ),
    "cached tokens are not input tokens a second time": (
        finished(usage=usage(100, 20, cached=60), cost=Decimal("0.00125")),
        {
            "tokens_total{model=chat,provider=openai,type=input}": 40,
            "tokens_total{model=chat,provider=openai,type=cached_input}": 60,
            "tokens_total{model=chat,provider=openai,type=output}": 20,
            "cost_dollars_total{model=chat,provider=openai}": 0.00125,
        },
    ),
    "an interrupted stream is an error with its reason": (
        finished(status="error", code="stream_interrupted", interrupted="upstream"),
        {
            "requests_total{code=stream_interrupted,model=chat,provider=openai,status=error}": 1,
            "interrupted_streams_total{model=chat,provider=openai,reason=upstream}": 1,
        },
    ),
    "a finish reason that clients do not know is counted": (
        finished(unknown_finish="abort"),
        {
            "unknown_finish_reasons_total{model=chat,provider=openai}": 1,
            "requests_total{code=ok,model=chat,provider=openai,status=success}": 1,
        },
    ),
    "a request refused before any target has provider none": (
        RequestRecord("req_1", 1.0, status="client_error", code="model_not_found", ended=1.1),
        {"requests_total{code=model_not_found,model=unknown,provider=none,status=client_error}": 1},
    ),
}


@pytest.mark.parametrize("sentence", SETTLED)
def test_settle(sentence: str) -> None:
    record, expected = SETTLED[sentence]
    instruments = Instruments("1.2.3")
    instruments.settle(record)
    shown = samples(instruments)
    assert {name: shown[name] for name in expected} == pytest.approx(expected)


def test_settling_twice_adds_up() -> None:
    instruments = Instruments("1.2.3")
    for _ in range(3):
        instruments.settle(finished(usage=usage(10, 5)))
    shown = samples(instruments)
    assert shown["requests_total{code=ok,model=chat,provider=openai,status=success}"] == 3
    assert shown["tokens_total{model=chat,provider=openai,type=output}"] == 15
    assert shown["request_duration_seconds_sum{model=chat,provider=openai}"] == pytest.approx(2.1)


def test_no_model_name_makes_the_metrics_grow_without_bound() -> None:
    instruments = Instruments("1.2.3")
    for i in range(MAX_SERIES + 10):
        instruments.settle(finished(model=f"model-{i}"))
    requests = {labels: child.value for labels, child in instruments.requests.children()}
    assert len(requests) == 2001
    assert requests[("other",) * 4] == MAX_SERIES + 10 - 2000
    assert len(instruments._series) <= MAX_SERIES
    instruments.settle(finished(model="model-0"))
    assert instruments.requests.child("openai", "model-0", "success", "ok").value == 2


def test_process_metrics_are_there_before_anything_happened() -> None:
    shown = samples(Instruments("1.2.3"))
    assert {
        "open_streams": 0.0,
        "open_connections": 0.0,
        "config_reloads_total{result=applied}": 0.0,
        "config_reloads_total{result=refused}": 0.0,
        "log_lines_dropped_total": 0.0,
        "build_info{version=1.2.3}": 1.0,
    }.items() <= shown.items()
    assert shown["process_resident_memory_bytes"] > 1e6


def test_only_the_revision_in_force_is_shown() -> None:
    instruments = Instruments("1.2.3")
    instruments.use_revision("aaa")
    instruments.use_revision("bbb")
    revisions = [name for name in samples(instruments) if name.startswith("config_info")]
    assert revisions == ["config_info{revision=bbb}"]


UPDATES: dict[str, tuple[Callable[[Instruments], None], str, float]] = {
    "an attempt": (
        lambda i: i.attempts.child("openai", "timeout").inc(),
        "upstream_attempts_total{outcome=timeout,provider=openai}",
        1,
    ),
    "a refused reload": (lambda i: i.reloads_refused.inc(), "config_reloads_total{result=refused}", 1),
    "an open stream": (lambda i: i.open_streams.inc(), "open_streams", 1),
    "a label with quotes": (lambda i: i.attempts.child('a"b\\c\n', "x").inc(), "", 0),
}


@pytest.mark.parametrize("sentence", UPDATES)
def test_updates_show(sentence: str) -> None:
    update, name, value = UPDATES[sentence]
    instruments = Instruments("1.2.3")
    update(instruments)
    shown = samples(instruments)
    if name:
        assert shown[name] == value
    else:
        assert shown['upstream_attempts_total{outcome=x,provider=a"b\\c\n}'] == 1


def test_every_family_has_the_prefix_and_a_help_text() -> None:
    for family in Instruments("1.2.3").registry.families():
        assert family.name.startswith("llm_gateway_")
        assert family.help.endswith(".")


def test_promtool_finds_nothing_to_say() -> None:
    instruments = Instruments("1.2.3")
    instruments.settle(finished(first_token=100.2, overhead=1e-4, usage=usage(1, 1), cost=Decimal(1)))
    text = Exposition(instruments.registry).render()
    assert b"# TYPE llm_gateway_requests_total counter" in text
    assert b"# TYPE llm_gateway_overhead_seconds histogram" in text
    # Without promtool on the machine the two lines above are the check.
    if promtool := shutil.which("promtool"):
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
