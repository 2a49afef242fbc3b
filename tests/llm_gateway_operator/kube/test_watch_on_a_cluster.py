"""The watches with a real API server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import kopf
import pytest

from llm_gateway_operator.kube import watch as watches
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.errors import WatchEnded
from llm_gateway_operator.kube.kinds import GATEWAY, SERVICE, Json, Kind
from llm_gateway_operator.kube.scope import Scope, cluster_wide, in_namespaces
from llm_gateway_operator.kube.watch import settings, watch
from llm_gateway_testing.cluster.controlplane import ControlPlane


class Seen:
    """All that the watches told, as (plural, event type, namespace, name). `of`: of one namespace alone."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.events: list[tuple[str, str | None, str, str]] = []
        self.objects: list[Json] = []
        self._news = asyncio.Event()

    def __call__(self, kind: Kind, event_type: str | None, obj: Json) -> None:
        meta = obj["metadata"]
        self.events.append((kind.plural, event_type, meta.get("namespace", ""), meta["name"]))
        self.objects.append(obj)
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self._news.clear()
                await self._news.wait()

    def of(self, name: str) -> list[str | None]:
        wanted = (self._namespace, name)
        return [event_type for _, event_type, *place in self.events if tuple(place) == wanted]


@asynccontextmanager
async def watching(scope: Scope, seen: Seen) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(watch(scope, seen, stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def admin(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))


def gateway(namespace: str, name: str, **spec: object) -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "llmgateway.dev/v1alpha1", "kind": "LLMGateway", "metadata": metadata, "spec": spec}


def service(namespace: str, name: str, labels: dict[str, str]) -> Json:
    metadata = {"namespace": namespace, "name": name, "labels": labels}
    spec = {"ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def secret(namespace: str, name: str, kind: str) -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind}


@pytest.mark.usefixtures("admin")
async def test_a_life_is_told_whole_and_leaves_no_trace_on_the_object(client: Client, namespace: str) -> None:
    await client.apply(gateway(namespace, "before"), "test")
    seen = Seen(namespace)
    async with watching(cluster_wide(), seen):
        await seen.until(lambda: bool(seen.of("before")))
        made = await client.apply(gateway(namespace, "one"), "test")
        await seen.until(lambda: "ADDED" in seen.of("one"))
        await client.apply(gateway(namespace, "one", suspend=True), "test")
        await seen.until(lambda: "MODIFIED" in seen.of("one"))
        now = await client.get(GATEWAY, namespace, "one")
        await client.delete(GATEWAY, namespace, "one", made["metadata"]["uid"])
        await seen.until(lambda: "DELETED" in seen.of("one"))
    assert now is not None
    assert {"annotations", "finalizers"}.isdisjoint(now["metadata"])
    assert seen.of("before")[0] is None
    assert seen.of("one") == ["ADDED", "MODIFIED", "DELETED"]
    last = next(each for each in reversed(seen.objects) if each["metadata"]["uid"] == made["metadata"]["uid"])
    assert (last["apiVersion"], last["kind"]) == ("llmgateway.dev/v1alpha1", "LLMGateway")


@pytest.mark.usefixtures("admin")
async def test_only_what_the_selectors_let_through_is_told(client: Client, namespace: str) -> None:
    ours = {"app.kubernetes.io/managed-by": "llm-gateway-operator"}
    seen = Seen(namespace)
    await make(client, namespace, "before", ours)
    async with watching(cluster_wide(), seen):
        await seen.until(lambda: bool(seen.of("before-mine") and seen.of("before-opaque")))
        await make(client, namespace, "after", ours)
        await seen.until(lambda: bool(seen.of("after-mine") and seen.of("after-opaque")))
    names = {
        name for plural, _, where, name in seen.events if where == namespace and plural != "serviceaccounts"
    }
    assert names == {f"{moment}-{name}" for moment in ("before", "after") for name in ("mine", "opaque")}


async def make(client: Client, namespace: str, moment: str, ours: dict[str, str]) -> None:
    """The ones not to be told first, so that they are no news that is still on its way."""
    await client.create(service(namespace, f"{moment}-theirs", {}), "test")
    await client.create(secret(namespace, f"{moment}-helm", "helm.sh/release.v1"), "test")
    await client.create(secret(namespace, f"{moment}-opaque", "Opaque"), "test")
    await client.create(service(namespace, f"{moment}-mine", ours), "test")


@pytest.mark.usefixtures("admin")
async def test_only_the_namespaces_of_the_scope_are_told(
    client: Client, namespace: str, cluster: ControlPlane
) -> None:
    cluster.kubectl("create", "namespace", f"{namespace}-other").text()
    seen = Seen(namespace)
    await client.apply(gateway(f"{namespace}-other", "elsewhere"), "test")
    async with watching(in_namespaces(namespace), seen):
        await client.apply(gateway(namespace, "here"), "test")
        await seen.until(lambda: bool(seen.of("here")))
    assert {where for _, _, where, _ in seen.events} <= {namespace}


@pytest.mark.usefixtures("admin")
async def test_an_outage_ends_no_watch(client: Client, namespace: str, cluster: ControlPlane) -> None:
    seen = Seen(namespace)
    async with watching(Scope((GATEWAY, SERVICE)), seen) as task:
        await client.apply(gateway(namespace, "first"), "test")
        await seen.until(lambda: bool(seen.of("first")))
        cluster.stop_apiserver()
        try:
            await asyncio.sleep(2)
        finally:
            cluster.start_apiserver()
        await client.apply(gateway(namespace, "second"), "test")
        await seen.until(lambda: bool(seen.of("second")))
        assert not task.done()


async def test_a_kind_that_may_not_be_read_ends_it_and_says_which(
    cluster: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={namespace}").text()
    kubeconfig = cluster.kubeconfig_for(cluster.token_for(namespace, "nobody"))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    # kopf sits a 403 out for a minute: during upgrades of a cluster they come and go.
    monkeypatch.setattr(watches, "settings", impatient)
    async with asyncio.timeout(60):
        with pytest.raises(WatchEnded, match="cannot list resource"):
            await watch(Scope((GATEWAY,), (namespace,)), Seen(namespace), asyncio.Event())


def impatient(scope: Scope) -> kopf.OperatorSettings:
    chosen = settings(scope)
    chosen.networking.error_backoffs = (0.1, 0.1)
    return chosen
