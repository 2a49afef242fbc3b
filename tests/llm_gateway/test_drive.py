"""Signals, drives and the clock, without a socket; `as_task` on a real loop."""

import asyncio

import pytest

from llm_gateway.drive import TICK, Clock, Drive, Signal, as_task
from llm_gateway_testing.driven import Driven, SetClock


class Left(Exception):
    """What a connection throws into its request."""


async def waits(signal: Signal, log: list[str], times: int = 1) -> str:
    for each in range(times):
        log.append(f"waits {each}")
        await signal
    return "end"


def test_a_coroutine_that_waits_for_nothing_ends_in_resume() -> None:
    async def at_once() -> int:
        return 7

    assert Driven(at_once()).value == 7


def test_fire_resumes_on_the_spot_and_only_who_waits() -> None:
    signal = Signal(SetClock())
    signal.fire()
    log: list[str] = []
    driven = Driven(waits(signal, log, times=2))
    assert log == ["waits 0"]
    signal.fire()
    assert log == ["waits 0", "waits 1"]
    assert not driven.ended
    signal.fire()
    assert driven.value == "end"
    signal.fire()
    assert len(driven.ends) == 1


def test_a_fire_while_the_coroutine_runs_is_no_wake_up_of_a_later_wait() -> None:
    signal = Signal(SetClock())

    async def fires_itself() -> None:
        signal.fire()
        await signal

    driven = Driven(fires_itself())
    assert not driven.ended
    signal.fire()
    assert driven.error is None


def test_two_coroutines_wait_each_for_its_own_signal() -> None:
    clock = SetClock()
    one, other = Signal(clock), Signal(clock)
    first, second = Driven(waits(one, [])), Driven(waits(other, []))
    other.fire()
    assert second.ended
    assert not first.ended


def test_a_signal_wakes_the_next_coroutine_while_it_runs_in_the_first() -> None:
    clock = SetClock()
    outer, inner = Signal(clock), Signal(clock)
    second = Driven(waits(inner, []))

    async def passes_on() -> None:
        await outer
        inner.fire()
        assert second.ended

    first = Driven(passes_on())
    outer.fire()
    assert first.error is None


# The clock.


def test_the_moment_fires_within_a_tick_and_never_before() -> None:
    clock = SetClock()
    clock.start()
    signal = Signal(clock)
    signal.until = clock.time + 1.0
    driven = Driven(waits(signal, []))
    clock.tick(0.999)
    assert not driven.ended
    clock.tick(0.001)
    assert driven.ended


def test_only_signals_that_somebody_waits_for_are_looked_at() -> None:
    clock = SetClock()
    signal = Signal(clock)
    assert not clock.waiting
    driven = Driven(waits(signal, [], times=2))
    assert clock.waiting == {signal}
    signal.fire()
    assert clock.waiting == {signal}
    signal.fire()
    assert driven.ended
    assert not clock.waiting


def test_a_sweep_that_ends_the_wait_of_another_signal_does_not_wake_it_twice() -> None:
    clock = SetClock()
    clock.start()
    signals = [Signal(clock), Signal(clock)]
    woken: list[int] = []

    async def wakes_the_other(mine: int) -> None:
        signals[mine].until = clock.time
        await signals[mine]
        woken.append(mine)
        signals[1 - mine].fire()

    for mine in (0, 1):
        Driven(wakes_the_other(mine))
    clock.tick()
    assert sorted(woken) == [0, 1]


def test_the_sweep_goes_on_until_stopped_and_tells_its_jobs_the_time() -> None:
    clock = SetClock(time=5.0)
    told: list[float] = []
    clock.every_tick(told.append)
    clock.start()
    assert [timer.delay for timer in clock.turned.timers] == [TICK]
    clock.tick(1.0)
    clock.tick(0.5)
    assert told == [6.0, 6.5]
    clock.stop()
    clock.tick(1.0)
    assert told == [6.0, 6.5]


def test_an_error_in_one_wake_up_does_not_stop_the_clock() -> None:
    clock = SetClock()
    clock.start()

    def breaks(error: BaseException | None) -> None:
        raise RuntimeError("in done")

    broken, sound = Signal(clock), Signal(clock)
    broken.until = sound.until = clock.time
    Drive(waits(broken, []), breaks).resume()
    with pytest.raises(RuntimeError, match="in done"):
        clock.tick()
    later = Driven(waits(sound, []))
    clock.tick()
    assert later.ended


# Errors.


def test_an_error_of_the_coroutine_is_told_to_done() -> None:
    signal = Signal(SetClock())

    async def fails() -> None:
        await signal
        raise ValueError("broken")

    driven = Driven(fails())
    signal.fire()
    assert isinstance(driven.error, ValueError)


def test_throw_raises_where_the_coroutine_waits() -> None:
    clock = SetClock()
    signal = Signal(clock)
    driven = Driven(waits(signal, []))
    driven.drive.throw(Left())
    assert isinstance(driven.error, Left)
    assert not clock.waiting
    signal.fire()
    assert len(driven.ends) == 1


def test_a_coroutine_may_catch_what_is_thrown_and_wait_again() -> None:
    signal = Signal(SetClock())
    log: list[str] = []

    async def cleans_up() -> None:
        try:
            await signal
        except Left:
            log.append("caught")
            await signal
        log.append("woken")

    driven = Driven(cleans_up())
    driven.drive.throw(Left())
    assert log == ["caught"]
    signal.fire()
    assert log == ["caught", "woken"]
    assert driven.error is None


def test_throw_while_the_coroutine_runs_is_raised_at_its_next_wait() -> None:
    signal = Signal(SetClock())
    log: list[str] = []
    drives: list[Drive] = []

    async def goes_on() -> None:
        await signal
        drives[0].throw(Left())
        log.append("still runs")
        await signal
        log.append("never")

    driven = Driven(goes_on())
    drives.append(driven.drive)
    signal.fire()
    assert log == ["still runs"]
    assert isinstance(driven.error, Left)


def test_throw_while_the_coroutine_runs_to_its_end_changes_nothing() -> None:
    signal = Signal(SetClock())
    drives: list[Drive] = []

    async def ends() -> None:
        await signal
        drives[0].throw(Left())

    driven = Driven(ends())
    drives.append(driven.drive)
    signal.fire()
    assert driven.error is None


def test_throw_after_the_end_changes_nothing() -> None:
    signal = Signal(SetClock())
    driven = Driven(waits(signal, []))
    signal.fire()
    driven.drive.throw(Left())
    assert driven.value == "end"
    assert len(driven.ends) == 1


def test_throw_before_the_start_is_raised_at_the_first_wait() -> None:
    log: list[str] = []
    ends: list[BaseException | None] = []
    drive = Drive(waits(Signal(SetClock()), log), ends.append)
    drive.throw(Left())
    assert not ends
    drive.resume()
    assert log == ["waits 0"]
    assert isinstance(ends[0], Left)


# Tasks of asyncio.


@pytest.fixture
async def clock() -> Clock:
    return SetClock(asyncio.get_running_loop())


async def test_as_task_returns_what_the_work_returned(clock: SetClock) -> None:
    async def work() -> str:
        await asyncio.sleep(0.001)
        return "connected"

    driven = Driven(as_task(clock, work(), clock.time + 60))
    assert not driven.ended
    await driven.end()
    assert driven.value == "connected"


async def test_as_task_raises_what_the_work_raised(clock: SetClock) -> None:
    async def work() -> str:
        raise OSError("refused")

    driven = Driven(as_task(clock, work(), clock.time + 60))
    await driven.end()
    with pytest.raises(OSError, match="refused"):
        _ = driven.value


async def test_as_task_gives_up_when_its_moment_comes_and_cancels_the_work() -> None:
    clock = Clock(asyncio.get_running_loop())
    clock.start()
    cancelled = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    driven = Driven(as_task(clock, work(), clock.now() + 0.01))
    await driven.end()
    assert isinstance(driven.error, TimeoutError)
    async with asyncio.timeout(20):
        await cancelled.wait()
    clock.stop()


async def test_as_task_cancels_the_work_of_a_request_that_is_thrown_out(clock: SetClock) -> None:
    cancelled = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return "never"

    driven = Driven(as_task(clock, work(), clock.time + 60))
    await asyncio.sleep(0.001)
    driven.drive.throw(Left())
    assert isinstance(driven.error, Left)
    async with asyncio.timeout(20):
        await cancelled.wait()
    assert not clock.waiting


async def test_as_task_tells_of_work_that_somebody_else_cancelled(clock: SetClock) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await asyncio.sleep(60)
        return "never"

    driven = Driven(as_task(clock, work(), clock.time + 60))
    await asyncio.sleep(0.001)
    tasks[0].cancel()
    await driven.end()
    assert isinstance(driven.error, asyncio.CancelledError)


async def test_as_task_does_not_mistake_a_fire_for_nothing_for_the_end(clock: SetClock) -> None:
    release = asyncio.Event()

    async def work() -> str:
        await release.wait()
        return "connected"

    driven = Driven(as_task(clock, work(), clock.time + 60))
    for signal in list(clock.waiting):
        signal.fire()
    assert not driven.ended
    release.set()
    await driven.end()
    assert driven.value == "connected"
