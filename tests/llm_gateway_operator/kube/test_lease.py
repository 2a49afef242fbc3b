"""The elector's rules, with a Lease in memory and in virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from llm_gateway_operator.kube.errors import ApiError, Unreachable
from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.kube.lease import Elector, Place, Terms
from llm_gateway_testing.virtual_time import run

TERMS = Terms(duration=15, renew_within=10.0, retry=2.0)


class Server:
    """One Lease. `trouble` is asked before each request and before each answer: it may wait or raise."""

    def __init__(self, trouble: Callable[[str], Coroutine[Any, Any, None]] | None = None) -> None:
        self.lease: Json | None = None
        self.writes = 0
        self._version = 0
        self._trouble = trouble

    def for_one(self, name: str) -> "Connection":
        return Connection(self, name)

    async def trouble(self, name: str, limit: float) -> None:
        if self._trouble is None:
            return
        try:
            async with asyncio.timeout(limit):
                await self._trouble(name)
        except TimeoutError:
            raise Unreachable("no answer") from None

    def store(self, obj: Json) -> Json:
        self._version += 1
        self.writes += 1
        self.lease = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        return self.lease


class Connection:
    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._name = name

    async def get(self, kind: Kind, namespace: str | None, name: str, limit: float) -> Json | None:
        await self._server.trouble(self._name, limit)
        return self._server.lease

    async def create(self, obj: Json, manager: str, limit: float) -> Json:
        await self._server.trouble(self._name, limit)
        if self._server.lease is not None:
            raise ApiError("create", 409, "AlreadyExists", "exists")
        return await self._stored(obj, limit)

    async def replace(self, obj: Json, manager: str, limit: float) -> Json:
        await self._server.trouble(self._name, limit)
        there = self._server.lease
        if there is None:
            raise ApiError("update", 404, "NotFound", "not found", about="operator")
        if there["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise ApiError("update", 409, "Conflict", "changed")
        return await self._stored(obj, limit)

    async def _stored(self, obj: Json, limit: float) -> Json:
        stored = self._server.store(obj)
        await self._server.trouble(self._name, limit)  # written, and the answer is lost
        return stored


class Candidate:
    def __init__(self, server: Server, name: str) -> None:
        self.lost: list[str] = []
        loop = asyncio.get_running_loop()
        place = Place("ns", "operator", name)
        self.elector = Elector(server.for_one(name), place, TERMS, self.lost.append, loop.time)

    async def lead(self) -> None:
        await self.elector.acquire()
        await self.elector.hold()


def now() -> float:
    return asyncio.get_running_loop().time()


async def leads(candidate: Candidate, within: float) -> None:
    end = now() + within
    while not candidate.elector.leading():
        assert now() < end
        await asyncio.sleep(0.1)


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_the_first_takes_a_lease_that_nobody_made() -> None:
    async def main() -> None:
        server = Server()
        one = Candidate(server, "one")
        assert not one.elector.leading()
        await one.elector.acquire()
        assert one.elector.leading()
        assert one.elector.renewed_until() == pytest.approx(now() + 10)
        assert server.lease is not None
        spec = server.lease["spec"]
        assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (
            "one",
            15,
            0,
        )
        assert spec["renewTime"].endswith("Z")
        await one.elector.release()

    run(main())


def test_a_second_waits_as_long_as_the_first_renews() -> None:
    async def main() -> None:
        server = Server()
        one, two = Candidate(server, "one"), Candidate(server, "two")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(0.5)
        second = asyncio.create_task(two.lead())
        await asyncio.sleep(3600)
        assert (one.elector.leading(), two.elector.leading(), one.lost) == (True, False, [])
        await ended(first, second)
        await one.elector.release()

    run(main())


def test_a_leader_that_died_is_followed_after_its_duration() -> None:
    async def main() -> None:
        server = Server()
        one, two = Candidate(server, "one"), Candidate(server, "two")
        await one.elector.acquire()  # and is never heard of again
        began = now()
        second = asyncio.create_task(two.lead())
        await leads(two, within=60)
        assert 15 <= now() - began <= 18
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 1
        await ended(second)
        await two.elector.release()
        await one.elector.release()

    run(main())


def test_a_lease_that_was_handed_back_is_taken_at_once() -> None:
    async def main() -> None:
        server = Server()
        one, two = Candidate(server, "one"), Candidate(server, "two")
        first = asyncio.create_task(one.lead())
        await leads(one, within=1)
        second = asyncio.create_task(two.lead())
        await asyncio.sleep(10)
        await ended(first)
        await one.elector.release()
        assert not one.elector.leading()
        await leads(two, within=3)
        assert one.lost == []
        await ended(second)
        await two.elector.release()

    run(main())


def unreachable_from(moment: float, name: str) -> Callable[[str], Coroutine[Any, Any, None]]:
    async def trouble(who: str) -> None:
        if who == name and now() >= moment:
            raise Unreachable("refused")

    return trouble


def hanging_from(moment: float, name: str) -> Callable[[str], Coroutine[Any, Any, None]]:
    async def trouble(who: str) -> None:
        if who == name and now() >= moment:
            await asyncio.sleep(1e6)

    return trouble


def slow(seconds: float) -> Callable[[str], Coroutine[Any, Any, None]]:
    async def trouble(who: str) -> None:
        await asyncio.sleep(seconds)

    return trouble


@pytest.mark.parametrize("trouble", [unreachable_from, hanging_from], ids=["refuses", "hangs"])
def test_a_leader_whose_server(trouble: Callable[[float, str], Any]) -> None:
    """It gives up in time, and before another can lead."""

    async def main() -> None:
        server = Server(trouble(20.0, "one"))
        one, two = Candidate(server, "one"), Candidate(server, "two")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(1)
        second = asyncio.create_task(two.lead())
        async with asyncio.timeout(60):
            await first  # `hold` returns after `lost`
        assert 26 <= now() <= 30.1
        assert one.lost == ["the Lease could not be renewed in time"]
        assert not one.elector.leading()
        assert not two.elector.leading()
        await leads(two, within=20)
        await ended(second)
        await two.elector.release()

    run(main())


def test_a_slow_server_is_no_reason_to_give_up() -> None:
    async def main() -> None:
        one = Candidate(Server(slow(2.0)), "one")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(600)
        assert one.elector.leading()
        assert one.lost == []
        await ended(first)
        await one.elector.release()

    run(main())


def test_a_leader_that_finds_another_in_its_place_gives_up_at_once() -> None:
    async def main() -> None:
        server = Server()
        one = Candidate(server, "one")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(5)
        assert server.lease is not None
        server.store({**server.lease, "spec": {**server.lease["spec"], "holderIdentity": "thief"}})
        async with asyncio.timeout(3):
            await first
        assert one.lost == ["another one holds the Lease"]
        assert not one.elector.leading()

    run(main())


def test_an_answer_that_was_lost_does_not_cost_the_lead() -> None:
    """The write was stored: the next one conflicts with our own."""

    async def main() -> None:
        calls = 0

        async def trouble(who: str) -> None:
            nonlocal calls
            calls += 1
            if calls % 5 == 0:
                raise Unreachable("broken")

        one = Candidate(Server(trouble), "one")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(300)
        assert one.elector.leading()
        assert one.lost == []
        await ended(first)
        await one.elector.release()

    run(main())


def test_a_deleted_lease_is_made_again() -> None:
    async def main() -> None:
        server = Server()
        one = Candidate(server, "one")
        first = asyncio.create_task(one.lead())
        await asyncio.sleep(5)
        server.lease = None
        await asyncio.sleep(5)
        assert one.elector.leading()
        assert server.lease is not None
        await ended(first)
        await one.elector.release()

    run(main())


def test_releasing_leaves_the_lease_of_another_alone() -> None:
    async def main() -> None:
        server = Server()
        one = Candidate(server, "one")
        await one.elector.acquire()
        assert server.lease is not None
        theirs = server.store({**server.lease, "spec": {**server.lease["spec"], "holderIdentity": "other"}})
        await one.elector.release()
        assert server.lease == theirs

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_server_does_two_never_lead_at_once(seed: int) -> None:
    """Refused, hung, slow, lost answers, deaths: for 20 minutes, looked at every 50 ms."""

    async def main() -> None:
        dice = random.Random(seed)

        async def trouble(who: str) -> None:
            match dice.randrange(12):
                case 0 | 1:
                    raise Unreachable("refused")
                case 2:
                    await asyncio.sleep(1e6)
                case 3 | 4:
                    await asyncio.sleep(dice.uniform(0, 6))

        server = Server(trouble)
        candidates: list[Candidate] = []
        tasks: list[asyncio.Task[None]] = []
        led = set()
        for step in range(24_000):
            if step % 1200 == 0:  # a new process each minute; one in two dies without a word
                candidates.append(Candidate(server, f"p{step}"))
                tasks.append(asyncio.create_task(candidates[-1].lead()))
                if dice.random() < 0.5:
                    tasks[dice.randrange(len(tasks))].cancel()
            leading = [each for each in candidates if each.elector.leading()]
            assert len(leading) <= 1
            led.update(id(each) for each in leading)
            await asyncio.sleep(0.05)
        assert len(led) >= 2
        await ended(*tasks)
        for each in candidates:
            await each.elector.release()

    run(main())
