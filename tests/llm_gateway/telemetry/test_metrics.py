"""Our own metric families: exact sums, and bounded label sets."""

import pytest

from llm_gateway.telemetry.metrics import Counter, Gauge, Histogram, Registry


def test_children_of_the_same_labels_are_one_child() -> None:
    family = Counter("x_total", "x", ("a", "b"))
    family.child("1", "2").inc()
    family.child("1", "2").inc(2.5)
    family.child("2", "1").inc()
    assert [(labels, child.value) for labels, child in family.children()] == [
        (("1", "2"), 3.5),
        (("2", "1"), 1),
    ]


def test_a_gauge_goes_both_ways() -> None:
    gauge = Gauge("x", "x").child()
    gauge.set(5)
    gauge.inc()
    gauge.inc(-3)
    assert gauge.value == 3


BUCKETS = {
    "below the first bound": (0.05, [1, 0, 0]),
    "equal to a bound belongs to that bucket": (0.1, [1, 0, 0]),
    "between two bounds": (0.5, [0, 1, 0]),
    "above the last bound": (7.0, [0, 0, 1]),
    "a clock that went back": (-1.0, [1, 0, 0]),
}


@pytest.mark.parametrize("sentence", BUCKETS)
def test_observations_fall_into_buckets(sentence: str) -> None:
    value, counts = BUCKETS[sentence]
    child = Histogram("x", "x", bounds=(0.1, 1.0)).child()
    child.observe(value)
    assert (child.counts, child.sum) == (counts, value)


def test_past_the_limit_new_labels_share_one_child_named_other() -> None:
    family = Counter("x_total", "x", ("a", "b"), max_children=3)
    for i in range(50):
        family.child(str(i), "b").inc()
    children = {labels: child.value for labels, child in family.children()}
    assert children == {("0", "b"): 1, ("1", "b"): 1, ("2", "b"): 1, ("other", "other"): 47}
    assert family.child("0", "b").value == 1


def test_a_wrong_number_of_labels_is_a_bug_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"x_total has labels \('a',\), got \('1', '2'\)"):
        Counter("x_total", "x", ("a",)).child("1", "2")


def test_a_name_is_registered_once() -> None:
    registry = Registry()
    counter = registry.add(Counter("x_total", "x"))
    with pytest.raises(ValueError, match="x_total exists already"):
        registry.add(Counter("x_total", "x"))
    assert registry.families() == (counter,)
