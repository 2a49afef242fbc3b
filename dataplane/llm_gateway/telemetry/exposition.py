"""The metrics as text for Prometheus, by prometheus_client, from our own families.

A scrape walks all children: 2000 of them take about 100 ms. `render` may therefore run on another thread: it
copies each family's children before it reads them.
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from llm_gateway.telemetry.metrics import AnyFamily, Counter, Histogram, HistogramChild, Registry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class FamilyCollector(Collector):
    """Shows a Registry to prometheus_client."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.families():
            yield _metric(family)


class Exposition:
    """What `GET /metrics` answers: the gateway's families and the process's CPU, memory and descriptors."""

    def __init__(self, registry: Registry) -> None:
        self._prometheus = CollectorRegistry(auto_describe=False)
        self._prometheus.register(FamilyCollector(registry))
        ProcessCollector(registry=self._prometheus)

    def render(self) -> bytes:
        return generate_latest(self._prometheus)


def _metric(family: AnyFamily) -> Metric:
    if isinstance(family, Histogram):
        metric = Metric(family.name, family.help, "histogram")
        _add_buckets(metric, family)
        return metric
    # prometheus_client names a counter's family without `_total`, its samples with it.
    is_counter = isinstance(family, Counter)
    metric = Metric(family.name.removesuffix("_total"), family.help, "counter" if is_counter else "gauge")
    for values, child in family.children():
        metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), child.value)
    return metric


def _add_buckets(metric: Metric, family: Histogram) -> None:
    names = [*map(repr, family.bounds), "+Inf"]
    for values, child in family.children():
        labels = dict(zip(family.labels, values, strict=True))
        _add_histogram(metric, labels, names, child)


def _add_histogram(metric: Metric, labels: dict[str, str], bounds: list[str], child: HistogramChild) -> None:
    total = 0
    for bound, total in zip(bounds, accumulate(child.counts), strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, total)
    metric.add_sample(f"{metric.name}_count", labels, total)
    metric.add_sample(f"{metric.name}_sum", labels, child.sum)
