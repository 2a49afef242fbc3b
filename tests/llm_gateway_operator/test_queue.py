import asyncio
import logging

import pytest

from llm_gateway_operator.kube.errors import ApiError, NotLeading, Unreachable
from llm_gateway_operator.queue import Queue
from llm_gateway_testing.virtual_time import run


def middle() -> float:
    return 0.5


def now() -> float:
    return asyncio.get_running_loop().time()


class Work:
    """Notes when each key was worked on; `answers` has what comes of it, in turn, and after them success."""

    def __init__(self, *answers: float | Exception | None, takes: float = 0.0) -> None:
        self.calls: list[tuple[str, float]] = []
        self.most_at_once = 0
        self._answers = list(answers)
        self._takes = takes
        self._at_once = 0

    async def __call__(self, key: str) -> float | None:
        self.calls.append((key, now()))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self._takes)
        self._at_once -= 1
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.calls]


async def until(moment: float, queue: Queue[str], work: Work, workers: int = 6) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(moment):
            await queue.run(work, workers)


def test_what_was_added_before_it_ran_is_worked_on() -> None:
    async def main() -> None:
        queue, work = Queue[str](), Work()
        queue.add("a")
        await until(10, queue, work)
        assert work.calls == [("a", pytest.approx(0.1))]

    run(main())


def test_fifty_changes_in_a_row_are_one_call() -> None:
    async def main() -> None:
        queue, work = Queue[str](), Work()
        running = asyncio.create_task(until(10, queue, work))
        for _ in range(50):
            queue.add("a")
            await asyncio.sleep(0.02)
        await running
        assert work.times == [pytest.approx(1.08)]

    run(main())


def test_one_key_is_never_with_two_workers_and_different_keys_are() -> None:
    async def main() -> None:
        alone, many = Work(takes=1.0), Work(takes=1.0)
        queue = Queue[str]()
        running = asyncio.create_task(until(30, queue, alone))
        for _ in range(5):
            queue.add("a")
            await asyncio.sleep(0.5)
        await running
        assert alone.most_at_once == 1
        assert len(alone.calls) >= 2
        for key in "abcdefgh":
            queue.add(key)
        await until(60, queue, many, workers=4)
        assert many.most_at_once == 4
        assert sorted(key for key, _ in many.calls) == list("abcdefgh")

    run(main())


def test_it_is_called_again_when_it_asked_for_it() -> None:
    async def main() -> None:
        queue, work = Queue[str](), Work(2.0, 1800.0)
        queue.add("a")
        await until(3600, queue, work)
        assert work.times == [pytest.approx(at) for at in (0.1, 2.1, 1802.1)]

    run(main())


def test_an_error_of_the_api_server_is_tried_again_with_backoff_and_retry_after() -> None:
    async def main() -> None:
        errors = Unreachable("get x: refused"), ApiError("get x", 429, "", "slow down", retry_after=7.0)
        queue, work = Queue[str](random=middle), Work(*errors)
        queue.add("a")
        await until(100, queue, work)
        assert work.times == [pytest.approx(at) for at in (0.1, 0.6, 7.6)]

    run(main())


def test_a_defect_is_tried_again_and_logged_without_its_values(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        queue, work = Queue[str](random=middle), Work(ValueError("planted-secret-value"))
        queue.add("a")
        await until(100, queue, work)
        assert work.times == [pytest.approx(0.1), pytest.approx(0.6)]

    with caplog.at_level(logging.DEBUG):
        run(main())
    assert "a: a defect, ValueError" in caplog.text
    assert "in __call__" in caplog.text
    assert "planted-secret-value" not in caplog.text


def test_not_leading_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        queue = Queue[str](random=middle)
        queue.add("a")
        await until(10, queue, Work(NotLeading("patch x: not sent")))

    with caplog.at_level(logging.INFO):
        run(main())
    assert caplog.text == ""


def test_a_slow_key_holds_up_no_other() -> None:
    async def main() -> None:
        queue = Queue[str]()
        done = []

        async def work(key: str) -> None:
            await asyncio.sleep(1000 if key == "slow" else 0)
            done.append((key, now()))

        queue.add("slow")
        queue.add("quick")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await queue.run(work, workers=2)
        assert done == [("quick", pytest.approx(0.1))]

    run(main())


def test_metrics_tell_what_waits_and_what_fails() -> None:
    async def main() -> None:
        queue = Queue[str](random=middle)
        queue.add("a")
        await asyncio.sleep(5)
        assert (queue.depth(), queue.oldest_wait()) == (1, pytest.approx(4.9))
        await until(5.1, queue, Work(Unreachable("x")))
        assert (queue.depth(), queue.failing(), queue.hot()) == (0, 1, ())

    run(main())
