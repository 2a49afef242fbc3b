"""Every metric of the gateway, by name, and how a finished request moves them.

Names and labels are the interface of dashboards and alerts: add, never rename. Label values come from the
configuration or from fixed sets; families are bounded all the same.
"""

from collections.abc import Sequence

from llm_gateway.telemetry.metrics import (
    Counter,
    CounterChild,
    Gauge,
    Histogram,
    HistogramChild,
    Registry,
)
from llm_gateway.telemetry.record import RequestRecord

PREFIX = "llm_gateway_"

# Seconds. A chat answer takes from tens of milliseconds to minutes.
DURATION = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# The gateway's own work: 50 us on a free core, more under load.
OVERHEAD = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0)

# Label value where no target was tried.
NO_PROVIDER = "none"
MAX_SERIES = 4000


class _Series:
    """The children that one (provider, model, status, code) moves: one lookup instead of seven."""

    __slots__ = ("cached_input", "cost", "duration", "first_token", "input", "output", "requests")

    requests: CounterChild
    duration: HistogramChild
    first_token: HistogramChild
    input: CounterChild
    cached_input: CounterChild
    output: CounterChild
    cost: CounterChild


class Instruments:
    """Families with labels are for rare updates (`family.child(...).inc()`); others are children already."""

    def __init__(self, version: str) -> None:
        self.registry = Registry()
        self._add_request_metrics()
        self._add_upstream_metrics()
        self._add_process_metrics(version)
        self._series: dict[tuple[str, str, str, str], _Series] = {}

    def _add_request_metrics(self) -> None:
        model = ("provider", "model")
        self.requests = self._counter(
            "requests_total",
            "Requests by outcome. status: success, error (gateway or upstream at fault), client_error.",
            (*model, "status", "code"),
        )
        self.duration = self._histogram(
            "request_duration_seconds",
            "From the request read to the last byte of its answer, streams included.",
            model,
            DURATION,
        )
        self.first_token = self._histogram(
            "time_to_first_token_seconds",
            "From the request read to the first content of its answer.",
            model,
            FIRST_TOKEN,
        )
        self.overhead = self._histogram(
            "overhead_seconds", "Time that the gateway itself added to a request.", (), OVERHEAD
        ).child()
        self.tokens = self._counter(
            "tokens_total",
            "Tokens by type: input, cached_input, output. No token is in two types.",
            (*model, "type"),
        )
        self.cost = self._counter("cost_dollars_total", "US dollars, of models with a price.", model)
        self.interrupted = self._counter(
            "interrupted_streams_total",
            "Streams that had begun and did not end well.",
            (*model, "reason"),
        )

        self.unknown_finish_reasons = self._counter(
            "unknown_finish_reasons_total",
            "Answers whose finish reason OpenAI's clients do not know; they were told length.",
            model,
        )

    def _add_upstream_metrics(self) -> None:
        self.attempts = self._counter(
            "upstream_attempts_total",
            "Attempts at upstreams. outcome: success or the kind of failure.",
            ("provider", "outcome"),
        )

    def _add_process_metrics(self, version: str) -> None:
        self.open_streams = self._gauge("open_streams", "Streamed answers in flight.").child()
        self.open_connections = self._gauge(
            "open_connections", "Connections of clients, idle ones included."
        ).child()
        reloads = self._counter(
            "config_reloads_total", "New configurations by result: applied, refused.", ("result",)
        )
        self.reloads_applied = reloads.child("applied")
        self.reloads_refused = reloads.child("refused")
        self.config_info = self._gauge("config_info", "The configuration in force, always 1.", ("revision",))
        self._gauge("build_info", "The version that runs, always 1.", ("version",)).child(version).set(1)
        self.log_lines_dropped = self._counter(
            "log_lines_dropped_total", "Log lines given up because the output was too slow."
        ).child()

    def _counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        return self.registry.add(Counter(PREFIX + name, help_text, labels))

    def _gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        return self.registry.add(Gauge(PREFIX + name, help_text, labels))

    def _histogram(
        self, name: str, help_text: str, labels: Sequence[str], bounds: tuple[float, ...]
    ) -> Histogram:
        return self.registry.add(Histogram(PREFIX + name, help_text, labels, bounds=bounds))

    def use_revision(self, revision: str) -> None:
        """Shows `revision` as the one in force, and no earlier one."""
        self.config_info.clear()
        self.config_info.child(revision).set(1)

    def settle(self, record: RequestRecord) -> None:
        """Counts a finished request. Once per request, after `ended`, `status` and `code` are set."""
        provider = record.provider or NO_PROVIDER
        key = (provider, record.model, record.status, record.code)
        series = self._series.get(key) or self._add_series(key)
        series.requests.value += 1
        series.duration.observe(record.ended - record.started)
        if record.first_token is not None:
            series.first_token.observe(record.first_token - record.started)
        if record.overhead is not None:
            self.overhead.observe(record.overhead)
        usage = record.usage
        if usage is not None:
            series.input.value += usage.prompt - usage.cached
            series.cached_input.value += usage.cached
            series.output.value += usage.completion
        if record.cost is not None:
            series.cost.value += float(record.cost)
        if record.interrupted is not None:
            self.interrupted.child(provider, record.model, record.interrupted).inc()
        if record.unknown_finish is not None:
            self.unknown_finish_reasons.child(provider, record.model).inc()

    def _add_series(self, key: tuple[str, str, str, str]) -> _Series:
        provider, model, _, _ = key
        series = _Series()
        series.requests = self.requests.child(*key)
        series.duration = self.duration.child(provider, model)
        series.first_token = self.first_token.child(provider, model)
        series.input = self.tokens.child(provider, model, "input")
        series.cached_input = self.tokens.child(provider, model, "cached_input")
        series.output = self.tokens.child(provider, model, "output")
        series.cost = self.cost.child(provider, model)
        # A full map is emptied, not refused: the families remember, this one only saves lookups.
        if len(self._series) >= MAX_SERIES:
            self._series.clear()
        self._series[key] = series
        return series
