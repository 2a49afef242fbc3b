"""Sweeps, watches, store and queue together, with a real API server: what a controller stands on."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from llm_gateway_operator.known import Change
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.kinds import GATEWAY, PROVIDER, SECRET, Json, Kind
from llm_gateway_operator.kube.scope import cluster_wide
from llm_gateway_operator.kube.sweep import Sweeper
from llm_gateway_operator.kube.watch import watch
from llm_gateway_operator.objects import Key
from llm_gateway_operator.queue import Queue
from llm_gateway_operator.store import Store
from llm_gateway_testing.cluster.controlplane import ControlPlane


class Operator:
    """As small as it can be: notes which gateway it would reconcile, and what it would see then."""

    def __init__(self, client: Client) -> None:
        scope = cluster_wide()
        self.store = Store(scope.kinds)
        self.queue = Queue[Key]()
        self.sweeper = Sweeper(client, scope, self.store, self.changed)
        self.seen: dict[Key, list[list[str]]] = {}
        self.news = asyncio.Event()

    def changed(self, change: Change) -> None:
        for key in self.store.affected(change).gateways:
            self.queue.add(key)

    def sink(self, kind: Kind, event_type: str | None, obj: Json) -> None:
        if event_type is None:
            self.sweeper.relisted(kind)
        if change := self.store.put(kind, event_type, obj):
            self.changed(change)

    async def work(self, key: Key) -> None:
        await self.sweeper.seeded.wait()
        view = self.store.view(key)
        shown = [provider.key.name for provider in view.providers.values()] if view else ["gone"]
        self.seen.setdefault(key, []).append(shown)
        self.news.set()

    async def until(self, key: Key, shown: list[str]) -> None:
        async with asyncio.timeout(60):
            while self.seen.get(key, [None])[-1] != shown:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Operator]:
    operator, stop = Operator(client), asyncio.Event()
    tasks = [
        asyncio.create_task(operator.queue.run(operator.work)),
        asyncio.create_task(operator.sweeper.run()),
    ]
    watches = asyncio.create_task(watch(cluster_wide(), operator.sink, stop))
    try:
        yield operator
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await watches
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def admin(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))


def gateway(namespace: str, **spec: object) -> Json:
    metadata = {"namespace": namespace, "name": "g"}
    return {"apiVersion": "llmgateway.dev/v1alpha1", "kind": "LLMGateway", "metadata": metadata, "spec": spec}


def provider(namespace: str, name: str, tier: str) -> Json:
    return {
        "apiVersion": "llmgateway.dev/v1alpha1",
        "kind": "LLMProvider",
        "metadata": {"namespace": namespace, "name": name, "labels": {"tier": tier}},
        "spec": {
            "type": "OpenAI",
            "auth": {"secretRef": {"name": "s", "key": "k"}},
            "models": [{"name": "m"}],
        },
    }


PAID = {"providers": {"selector": {"matchLabels": {"tier": "paid"}}}}


async def test_what_changes_in_the_cluster_reaches_the_gateways_that_it_concerns(
    client: Client, namespace: str
) -> None:
    key = Key(namespace, "g")
    await client.apply(gateway(namespace, **PAID), "test")
    await client.apply(provider(namespace, "a", "paid"), "test")
    async with running(client) as operator:
        await operator.until(key, ["a"])
        await client.apply(provider(namespace, "b", "paid"), "test")
        await operator.until(key, ["a", "b"])
        await client.apply(provider(namespace, "a", "free"), "test")
        await operator.until(key, ["b"])
        rounds = len(operator.seen[key])
        data = {"k": base64.b64encode(b"planted-secret-value").decode()}
        metadata = {"namespace": namespace, "name": "s"}
        await client.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}, "test")
        async with asyncio.timeout(60):
            while len(operator.seen[key]) == rounds:
                operator.news.clear()
                await operator.news.wait()
        known = operator.store.get(SECRET, Key(namespace, "s"))
        assert known is not None
        assert known.hashes.keys() == {"k"}
        assert data["k"] not in str(known.obj)
        found = await client.get(GATEWAY, namespace, "g")
        assert found is not None
        await client.delete(GATEWAY, namespace, "g", found["metadata"]["uid"])
        await operator.until(key, ["gone"])


async def test_a_deletion_that_no_watch_told_is_found_by_the_next_sweep(
    client: Client, namespace: str
) -> None:
    """Without watches at all."""
    await client.apply(gateway(namespace, **PAID), "test")
    made = await client.apply(provider(namespace, "a", "paid"), "test")
    operator = Operator(client)
    for kind in cluster_wide().kinds:
        await operator.sweeper.sweep(kind)
    assert operator.sweeper.seeded.is_set()
    key = Key(namespace, "g")
    view = operator.store.view(key)
    assert view is not None
    assert view.providers.keys() == {Key(namespace, "a")}
    assert view.missing_secrets == {Key(namespace, "s")}
    assert view.namespace_labels == {"kubernetes.io/metadata.name": namespace}
    await client.delete(PROVIDER, namespace, "a", made["metadata"]["uid"])
    operator.queue = Queue[Key]()
    # Its list may come from the server's cache, which is filled a moment later.
    async with asyncio.timeout(30):
        while operator.store.get(PROVIDER, Key(namespace, "a")) is not None:
            await operator.sweeper.sweep(PROVIDER)
    assert operator.store.gateways_of(Key(namespace, "a")) == frozenset()
    await asyncio.sleep(0.2)
    assert operator.queue.depth() == 1
