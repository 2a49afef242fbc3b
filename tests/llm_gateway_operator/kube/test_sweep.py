"""The sweeper's rules, with lists in memory and in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from llm_gateway_operator.known import Change
from llm_gateway_operator.kube.client import Page
from llm_gateway_operator.kube.errors import ApiError, Unreachable
from llm_gateway_operator.kube.kinds import DEPLOYMENT, GATEWAY, PROVIDER, Json, Kind
from llm_gateway_operator.kube.scope import Scope
from llm_gateway_operator.kube.sweep import Sweeper
from llm_gateway_operator.objects import Key
from llm_gateway_operator.store import Store
from llm_gateway_testing.virtual_time import run

OURS = {"app.kubernetes.io/managed-by": "llm-gateway-operator"}
KINDS = (GATEWAY, PROVIDER)


def obj(kind: Kind, name: str, version: int, uid: str | None = None, **labels: str) -> Json:
    metadata = {
        "namespace": "n",
        "name": name,
        "uid": uid or name,
        "resourceVersion": str(version),
        "labels": labels,
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": {}}


class Lists:
    """In the place of a Client. `objects` is what `get` finds; a list shows `stale` instead, if there is one."""

    def __init__(self) -> None:
        self.objects: dict[Kind, list[Json]] = {}
        self.stale: dict[Kind, list[Json]] = {}
        self.lists: list[tuple[Kind, str | None, str | None, float]] = []
        self.gets: list[str] = []
        self.trouble: Callable[[Kind], Awaitable[None]] | None = None

    async def list_pages(
        self, kind: Kind, namespace: str | None, labels: str | None, fields: str | None
    ) -> AsyncIterator[Page]:
        self.lists.append((kind, namespace, labels, asyncio.get_running_loop().time()))
        items = self.stale.get(kind, self.objects.get(kind, []))
        half = len(items) // 2
        yield Page(tuple(items[:half]), "1")
        if self.trouble is not None:
            await self.trouble(kind)
        yield Page(tuple(items[half:]), "1")

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        self.gets.append(name)
        return next((each for each in self.objects.get(kind, []) if each["metadata"]["name"] == name), None)

    def times(self, kind: Kind) -> list[float]:
        return [at for listed, _, _, at in self.lists if listed == kind]


class Parts:
    def __init__(self, scope: Scope | None = None) -> None:
        self.lists = Lists()
        scope = scope or Scope(KINDS)
        self.store = Store(scope.kinds)
        self.changes: list[Change] = []
        self.sweeper = Sweeper(self.lists, scope, self.store, self.changes.append)  # type: ignore[arg-type]

    def names(self, kind: Kind = PROVIDER) -> list[str]:
        return [each.key.name for each in self.store.all(kind)]

    async def run_until(self, moment: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(moment):
                await self.sweeper.run()


def test_everything_is_listed_and_then_it_is_seeded() -> None:
    async def main() -> None:
        parts = Parts()
        parts.lists.objects = {PROVIDER: [obj(PROVIDER, "a", 1), obj(PROVIDER, "b", 2)]}
        await parts.sweeper.sweep(PROVIDER)
        assert not parts.sweeper.seeded.is_set()
        await parts.sweeper.sweep(GATEWAY)
        assert parts.sweeper.seeded.is_set()
        assert parts.names() == ["a", "b"]
        assert [change.key.name for change in parts.changes] == ["a", "b"]

    run(main())


def test_one_slow_kind_delays_the_seeding() -> None:
    async def main() -> None:
        async def slow(kind: Kind) -> None:
            await asyncio.sleep(20 if kind == PROVIDER else 0)

        parts = Parts()
        parts.lists.trouble = slow
        running = asyncio.create_task(parts.run_until(25))
        await asyncio.sleep(19)
        assert (parts.sweeper.seeded.is_set(), parts.store.unlisted) == (False, {PROVIDER})
        await asyncio.sleep(2)
        assert parts.sweeper.seeded.is_set()
        await running

    run(main())


def test_a_deletion_that_no_watch_told_is_found_and_told() -> None:
    async def main() -> None:
        parts = Parts()
        a, b = obj(PROVIDER, "a", 1), obj(PROVIDER, "b", 2)
        parts.lists.objects[PROVIDER] = [a, b]
        await parts.sweeper.sweep(PROVIDER)
        parts.changes.clear()
        parts.lists.objects[PROVIDER] = [b]
        await parts.sweeper.sweep(PROVIDER)
        assert parts.names() == ["b"]
        assert [(change.key, change.new) for change in parts.changes] == [(Key("n", "a"), None)]

    run(main())


def test_a_list_that_is_older_than_the_watch_deletes_nothing() -> None:
    async def main() -> None:
        parts = Parts()
        a, b = obj(PROVIDER, "a", 1), obj(PROVIDER, "b", 2)
        parts.lists.objects[PROVIDER] = [a, b]
        parts.store.put(PROVIDER, "ADDED", a)
        parts.store.put(PROVIDER, "ADDED", b)
        parts.lists.stale[PROVIDER] = [a]
        await parts.sweeper.sweep(PROVIDER)
        assert parts.names() == ["a", "b"]
        assert parts.lists.gets == ["b"]
        assert parts.changes == []

    run(main())


def test_what_comes_while_the_list_is_under_way_stays() -> None:
    async def main() -> None:
        parts = Parts()

        async def meanwhile(kind: Kind) -> None:
            parts.store.put(PROVIDER, "ADDED", obj(PROVIDER, "new", 9))

        parts.lists.trouble = meanwhile
        await parts.sweeper.sweep(PROVIDER)
        assert parts.names() == ["new"]
        assert parts.lists.gets == []

    run(main())


def test_an_object_that_was_made_anew_under_its_name_is_not_lost() -> None:
    async def main() -> None:
        parts = Parts()
        parts.store.put(PROVIDER, None, obj(PROVIDER, "a", 1, uid="u1"))
        parts.lists.objects[PROVIDER] = [obj(PROVIDER, "a", 5, uid="u2")]
        await parts.sweeper.sweep(PROVIDER)
        [known] = parts.store.all(PROVIDER)
        assert known.uid == "u2"

    run(main())


def test_a_child_without_our_label_is_out_of_sight_and_may_come_back() -> None:
    async def main() -> None:
        parts = Parts(Scope((DEPLOYMENT,)))
        parts.lists.objects[DEPLOYMENT] = [obj(DEPLOYMENT, "d", 1, **OURS)]
        await parts.sweeper.sweep(DEPLOYMENT)
        parts.lists.objects[DEPLOYMENT] = [obj(DEPLOYMENT, "d", 2)]
        parts.lists.stale[DEPLOYMENT] = []
        await parts.sweeper.sweep(DEPLOYMENT)
        assert parts.names(DEPLOYMENT) == []
        parts.lists.stale[DEPLOYMENT] = [obj(DEPLOYMENT, "d", 3, **OURS)]
        await parts.sweeper.sweep(DEPLOYMENT)
        assert parts.names(DEPLOYMENT) == ["d"]
        assert {labels for _, _, labels, _ in parts.lists.lists} == {
            "app.kubernetes.io/managed-by=llm-gateway-operator"
        }

    run(main())


FAILURES: dict[str, Any] = {
    "no answer": Unreachable("list x"),
    "an expired continuation": ApiError("list x", 410, "Expired", "too old"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_list_that_breaks_off_deletes_nothing_and_does_not_seed(failure: Exception) -> None:
    async def main() -> None:
        async def broken(kind: Kind) -> None:
            raise failure

        parts = Parts(Scope((PROVIDER,)))
        parts.store.put(PROVIDER, None, obj(PROVIDER, "a", 1))
        parts.lists.trouble = broken
        with pytest.raises(type(failure)):
            await parts.sweeper.sweep(PROVIDER)
        assert parts.names() == ["a"]
        assert not parts.store.seeded
        assert parts.sweeper.last_sweep(PROVIDER) is None

    run(main())


def test_failures_are_tried_again_until_they_end() -> None:
    async def main() -> None:
        async def down_for_a_minute(kind: Kind) -> None:
            if asyncio.get_running_loop().time() < 60:
                raise Unreachable("list x")

        parts = Parts()
        parts.lists.trouble = down_for_a_minute
        await parts.run_until(100)
        assert parts.sweeper.seeded.is_set()
        assert len([at for at in parts.lists.times(PROVIDER) if at < 60]) < 12

    run(main())


def test_the_rhythm_is_at_once_after_half_a_minute_and_every_ten_minutes() -> None:
    async def main() -> None:
        parts = Parts()
        await parts.run_until(3600)
        times = parts.lists.times(GATEWAY)
        assert times[0] == 0
        assert times[1] == pytest.approx(30)
        pauses = [later - sooner for sooner, later in pairwise(times[1:])]
        assert all(540 <= pause <= 660 for pause in pauses)
        assert len(pauses) >= 4
        last = parts.sweeper.last_sweep(GATEWAY)
        assert last == pytest.approx(times[-1])

    run(main())


def test_a_watch_that_listed_anew_is_followed_by_a_sweep_of_its_kind() -> None:
    async def main() -> None:
        parts = Parts()
        running = asyncio.create_task(parts.run_until(200))
        await asyncio.sleep(100)
        for _ in range(50):
            parts.sweeper.relisted(PROVIDER)
            await asyncio.sleep(0.01)
        await running
        assert [at for at in parts.lists.times(PROVIDER) if at > 50] == [pytest.approx(105, abs=0.1)]
        assert [at for at in parts.lists.times(GATEWAY) if at > 50] == []

    run(main())


def test_each_namespace_of_the_scope_is_listed() -> None:
    async def main() -> None:
        parts = Parts(Scope((PROVIDER,), ("a", "b")))
        await parts.sweeper.sweep(PROVIDER)
        assert [namespace for _, namespace, _, _ in parts.lists.lists] == ["a", "b"]

    run(main())
