import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_operator.schedule import Pace, Schedule


def schedule(pace: Pace | None = None) -> Schedule[str]:
    """`random` in the middle: backoffs are exact."""
    return Schedule[str](lambda: 0.5, pace or Pace())


def test_an_empty_one_has_nothing() -> None:
    empty = schedule()
    assert empty.take(0.0) is None
    assert empty.next_due() is None
    assert empty.oldest_wait(100.0) == 0.0


def test_a_change_waits_for_more_of_the_same() -> None:
    it = schedule()
    it.add("a", 0.0)
    it.add("a", 0.05)
    assert it.next_due() == pytest.approx(0.15)
    assert it.take(0.14) is None
    assert it.take(0.151) == "a"
    assert it.take(10.0) is None


def test_a_storm_postpones_for_two_seconds_at_most() -> None:
    it = schedule()
    taken_at = None
    for step in range(100):
        now = step * 0.05
        it.add("a", now)
        if it.take(now):
            taken_at = now
            break
    assert taken_at == pytest.approx(2.0)


def test_a_key_is_with_one_at_a_time_and_comes_back_when_it_changed_meanwhile() -> None:
    it = schedule()
    it.add("a", 0.0)
    assert it.take(0.1) == "a"
    it.add("a", 0.2)
    assert it.take(100.0) is None
    it.done("a", 101.0)
    assert it.next_due() == pytest.approx(0.3)
    assert it.take(101.0) == "a"
    it.done("a", 102.0)
    assert it.next_due() is None


def test_keys_come_in_the_order_in_which_they_became_due() -> None:
    it = schedule()
    for key, now in (("a", 0.0), ("b", 0.01), ("c", 0.02)):
        it.add(key, now)
    it.add("a", 0.05)
    assert [it.take(1.0) for _ in range(4)] == ["b", "c", "a", None]


def test_a_busy_key_does_not_starve_another() -> None:
    """One worker, and a key that changes all the time."""
    it = schedule()
    it.add("quiet", 0.0)
    taken = []
    for step in range(1, 60):
        now = step * 0.1
        it.add("busy", now)
        if key := it.take(now):
            taken.append(key)
            it.done(key, now)
    assert "quiet" in taken[:2]


def test_failures_wait_longer_and_longer_up_to_a_bound() -> None:
    it = schedule()
    it.add("a", 0.0)
    now, waits = 0.1, []
    for _ in range(12):
        assert it.take(now) == "a"
        it.failed("a", now)
        due = it.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[:4] == [pytest.approx(wait) for wait in (0.5, 1.0, 2.0, 4.0)]
    assert waits[-1] == pytest.approx(300.0)


def test_success_resets_the_backoff() -> None:
    it = schedule()
    now = 0.0
    for outcome in ("failed", "failed", "done", "failed"):
        it.add("a", now)
        now += 1000
        assert it.take(now) == "a"
        it.done("a", now) if outcome == "done" else it.failed("a", now)
    due = it.next_due()
    assert due is not None
    assert due - now == pytest.approx(0.5)


def test_the_backoff_is_varied_by_a_fifth() -> None:
    for value, wait in ((0.0, 0.4), (0.999999, 0.6)):
        it = Schedule[str](lambda value=value: value)  # type: ignore[misc]
        it.add("a", 0.0)
        it.take(0.1)
        it.failed("a", 0.1)
        assert it.next_due() == pytest.approx(0.1 + wait, abs=0.001)


def failed_often(it: Schedule[str], times: int) -> float:
    """The moment of the last failure."""
    it.add("a", 0.0)
    now = 0.1
    for _ in range(times):
        assert it.take(now) == "a"
        it.failed("a", now)
        last, now = now, it.next_due() or 0.0
    return last


def test_a_change_shortens_a_long_backoff_to_five_seconds_since_the_failure() -> None:
    it = schedule()
    failed = failed_often(it, 10)
    it.add("a", failed + 1)
    assert it.next_due() == pytest.approx(failed + 5)


def test_a_change_does_not_lengthen_a_short_backoff_nor_end_it() -> None:
    it = schedule()
    failed = failed_often(it, 1)
    for step in range(4):
        it.add("a", failed + step * 0.1)
    assert it.next_due() == pytest.approx(failed + 0.5)


def test_what_the_server_asked_for_is_waited_even_if_something_changes() -> None:
    it = schedule()
    it.add("a", 0.0)
    it.take(0.1)
    it.failed("a", 0.1, retry_after=30.0)
    it.add("a", 1.0)
    assert it.next_due() == pytest.approx(30.1)


def test_a_change_during_work_that_failed_waits_too() -> None:
    """Its own half-done writes cause events: they must not make it spin."""
    it = schedule()
    it.add("a", 0.0)
    it.take(0.1)
    it.add("a", 0.2)
    it.failed("a", 0.3)
    assert it.next_due() == pytest.approx(0.8)


def test_a_change_during_work_that_then_succeeded_is_due_soon_even_after_failures() -> None:
    it = schedule()
    failed = failed_often(it, 5)
    now = it.next_due() or 0.0
    assert now > failed + 5
    it.take(now)
    it.add("a", now)
    it.done("a", now + 1)
    assert it.next_due() == pytest.approx(now + 0.1)


def test_looking_again_later_gives_way_to_a_change() -> None:
    it = schedule()
    it.add("a", 0.0)
    it.take(0.1)
    it.done("a", 1.0, again_after=1800.0)
    assert it.next_due() == pytest.approx(1801.0)
    it.add("a", 5.0)
    assert it.next_due() == pytest.approx(5.1)


def test_of_two_later_looks_the_sooner_counts() -> None:
    it = schedule()
    it.add_after("a", 10.0, 0.0)
    it.add_after("a", 20.0, 0.0)
    assert it.next_due() == 10.0
    it.add_after("a", 2.0, 0.0)
    assert it.next_due() == 2.0


def test_a_change_does_not_postpone_a_look_that_is_due_now() -> None:
    it = schedule()
    it.add_after("a", 0.0, 0.0)
    it.add("a", 1.0)
    assert it.take(1.0) == "a"


def test_it_tells_how_long_the_oldest_waits_and_how_many_wait() -> None:
    it = schedule()
    it.add("a", 0.0)
    it.add("b", 1.0)
    assert (it.depth(0.5), it.oldest_wait(0.6)) == (1, pytest.approx(0.5))
    it.take(2.0)
    assert (it.depth(2.0), it.oldest_wait(2.1)) == (1, pytest.approx(1.0))
    it.take(2.0)
    assert (it.depth(2.0), it.oldest_wait(9.0)) == (0, 0.0)


def test_a_key_that_feeds_on_itself_is_hot_until_it_has_been_calm_for_a_minute() -> None:
    it = schedule()
    for step in range(30):
        now = step * 1.0
        it.add("a", now)
        assert it.take(now + 0.5) == "a"
        assert it.hot(now + 0.5) == (("a",) if step == 29 else ())
        it.done("a", now + 0.5)
    assert it.hot(61.0) == ()


def test_a_failing_key_is_counted() -> None:
    it = schedule()
    assert it.failing() == 0
    failed_often(it, 1)
    assert it.failing() == 1


def test_a_storm_leaves_nothing_behind() -> None:
    it = schedule()
    for step in range(10_000):
        it.add("a", step * 0.0001)
    while key := it.take(100.0):
        it.done(key, 100.0)
    it.hot(1000.0)
    assert (it._entries, it._heap, it._starts, dict(it._started)) == ({}, [], it._starts.__class__(), {})


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 200))
def test_whatever_happens_each_key_is_alone_and_none_is_forgotten(seed: int, steps: int) -> None:
    dice = random.Random(seed)
    it = Schedule[int](dice.random)
    now, active, pending = 0.0, set[int](), set[int]()
    for _ in range(steps):
        now += dice.random()
        match dice.randrange(4):
            case 0 | 1:
                key = dice.randrange(5)
                it.add(key, now)
                pending.add(key)
            case 2:
                taken = it.take(now)
                if taken is not None:
                    assert taken not in active
                    active.add(taken)
                    pending.discard(taken)
            case _ if active:
                key = active.pop()
                if dice.random() < 0.5:
                    it.done(key, now)
                else:
                    it.failed(key, now)
                    pending.add(key)
            case _:
                pass
    for key in active:
        it.done(key, now)
    left = set()
    while (key_or_none := it.take(now + 10_000)) is not None:
        left.add(key_or_none)
        it.done(key_or_none, now + 10_000)
    assert left == pending
