"""Counters, gauges and histograms: a family per name, a child per set of label values.

prometheus_client's own types cost five times as much per update; these are plain additions. `exposition`
shows them. Updates come from the event loop's thread only. A reader on another thread may see an update half
done (a histogram's count before its sum), never a crash.
No family grows without bound: past `max_children` all new label values share one child, labelled "other".
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Generic, TypeVar

OTHER = "other"
MAX_CHILDREN = 2000


class CounterChild:
    """A sum that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, n: float = 1) -> None:
        self.value += n


class GaugeChild:
    """A value that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def set(self, value: float) -> None:
        self.value = value

    def inc(self, n: float = 1) -> None:
        self.value += n


class HistogramChild:
    """Observations by bucket. `counts[i]` is of bucket i alone, not cumulative; the last one is +Inf."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        # A bucket holds its upper bound too (`le`), hence bisect_left.
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


Child = TypeVar("Child", CounterChild, GaugeChild, HistogramChild)


class Family(Generic[Child]):
    """All children of one metric name."""

    def __init__(
        self, name: str, help_text: str, labels: Sequence[str] = (), max_children: int = MAX_CHILDREN
    ) -> None:
        self.name = name
        self.help = help_text
        self.labels = tuple(labels)
        self._max_children = max_children
        self._children: dict[tuple[str, ...], Child] = {}

    def child(self, *values: str) -> Child:
        """The child of these label values, in the order of `labels`; hold on to it where it is used often."""
        found = self._children.get(values)
        return found if found is not None else self._add(values)

    def children(self) -> list[tuple[tuple[str, ...], Child]]:
        """A copy, so that a reader on another thread meets no changing dict."""
        return list(self._children.items())

    def clear(self) -> None:
        """Forgets all children; those still held elsewhere are counted no more."""
        self._children = {}

    def _add(self, values: tuple[str, ...]) -> Child:
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, got {values}")
        if self.labels and len(self._children) >= self._max_children:
            values = (OTHER,) * len(self.labels)
        return self._children.setdefault(values, self._new())

    def _new(self) -> Child:
        raise NotImplementedError


class Counter(Family[CounterChild]):
    """Names end in `_total`."""

    def _new(self) -> CounterChild:
        return CounterChild()


class Gauge(Family[GaugeChild]):
    """For what is true now, and for facts (`..._info`, always 1)."""

    def _new(self) -> GaugeChild:
        return GaugeChild()


class Histogram(Family[HistogramChild]):
    """`bounds`: rising upper bounds of the buckets, without +Inf."""

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        *,
        bounds: tuple[float, ...],
        max_children: int = MAX_CHILDREN,
    ) -> None:
        super().__init__(name, help_text, labels, max_children)
        self.bounds = bounds

    def _new(self) -> HistogramChild:
        return HistogramChild(self.bounds)


AnyFamily = Counter | Gauge | Histogram
F = TypeVar("F", Counter, Gauge, Histogram)


class Registry:
    """The families to export, in the order in which they were added."""

    def __init__(self) -> None:
        self._families: dict[str, AnyFamily] = {}

    def add(self, family: F) -> F:
        if family.name in self._families:
            raise ValueError(f"metric {family.name} exists already")
        self._families[family.name] = family
        return family

    def families(self) -> tuple[AnyFamily, ...]:
        return tuple(self._families.values())
