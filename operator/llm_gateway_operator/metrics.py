"""The operator's own metrics, all named `llm_gateway_operator_*`."""

from collections.abc import Iterator
from importlib import metadata
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_gateway_operator.kube.client import Attempt

_PREFIX = "llm_gateway_operator"


class Observed(Protocol):
    """What is looked at when somebody asks for the metrics. Counts, but for `oldest_wait` in seconds."""

    def depth(self) -> int: ...
    def failing(self) -> int: ...
    def oldest_wait(self) -> float: ...
    def hot(self) -> tuple[object, ...]: ...


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            f"{_PREFIX}_api_request_seconds",
            "Time of requests to the API server, by verb, kind and HTTP status; 0 where no answer came.",
            ("verb", "kind", "status"),
            registry=self.registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 2.0, 10.0),
        )
        self._reconciles = Counter(
            f"{_PREFIX}_reconciles",
            "Times that an object was reconciled, by kind and result.",
            ("kind", "result"),
            registry=self.registry,
        )
        self._leading = Gauge(f"{_PREFIX}_leading", "1 while this process leads.", registry=self.registry)
        self._seeded = Gauge(
            f"{_PREFIX}_seeded", "1 when every kind has been listed.", registry=self.registry
        )
        info = Gauge(f"{_PREFIX}_build_info", "Always 1.", ("version",), registry=self.registry)
        info.labels(metadata.version("llm-gateway")).set(1)

    def watch(self, queue: Observed) -> None:
        self.registry.register(_Queue(queue))

    def attempt(self, attempt: Attempt) -> None:
        """One request to the API server, retried or not."""
        labels = (attempt.verb, attempt.kind, str(attempt.outcome))
        self._requests.labels(*labels).observe(attempt.seconds)

    def reconciled(self, kind: str, result: str) -> None:
        """`result`: done, or failed."""
        self._reconciles.labels(kind, result).inc()

    def exposition(self, leading: bool, seeded: bool) -> bytes:
        self._leading.set(leading)
        self._seeded.set(seeded)
        return generate_latest(self.registry)


class _Queue(Collector):
    def __init__(self, queue: Observed) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        values = {
            "queue_depth": ("Objects that wait for a worker.", self._queue.depth()),
            "queue_failing": ("Objects whose last reconciliation failed.", self._queue.failing()),
            "queue_oldest_wait_seconds": ("How long the first of them waits.", self._queue.oldest_wait()),
            "queue_hot": (
                "Objects reconciled so often that something feeds on itself.",
                len(self._queue.hot()),
            ),
        }
        for name, (text, value) in values.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)
