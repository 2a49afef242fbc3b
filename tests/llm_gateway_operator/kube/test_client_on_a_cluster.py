"""What the Client promises, with a real API server at the other end."""

import asyncio
import base64

import pytest

from llm_gateway_operator.kube.client import Client, connected
from llm_gateway_operator.kube.errors import ApiError, NoCredentials, Unreachable
from llm_gateway_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, GATEWAY, NAMESPACE, SECRET, Json, Kind
from llm_gateway_testing.cluster.controlplane import ControlPlane

WIDGET = Kind("example.com", "v1", "widgets", "Widget")


def config(namespace: str, name: str = "one", **data: str) -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def gateway(namespace: str, name: str = "one") -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "llmgateway.dev/v1alpha1", "kind": "LLMGateway", "metadata": metadata, "spec": {}}


async def test_what_is_there_and_what_is_not(client: Client, namespace: str) -> None:
    await client.create(config(namespace, a="1"), "test")
    found = await client.get(CONFIG_MAP, namespace, "one")
    assert found is not None
    assert found["data"] == {"a": "1"}
    assert await client.get(CONFIG_MAP, namespace, "two") is None
    assert await client.get(CONFIG_MAP, "no-such-namespace", "two") is None
    assert await client.get(NAMESPACE, None, "no-such-namespace") is None


async def test_a_kind_that_is_not_served_is_an_error_and_not_an_absence(
    client: Client, namespace: str
) -> None:
    with pytest.raises(ApiError) as caught:
        await client.get(WIDGET, namespace, "one")
    assert caught.value.not_found
    with pytest.raises(ApiError):
        [page async for page in client.list_pages(WIDGET)]


async def test_a_list_comes_in_pages_with_kind_and_version_in_each_item(
    client: Client, namespace: str
) -> None:
    for number in range(5):
        await client.create(gateway(namespace, f"g{number}"), "test")
    pages = [page async for page in client.list_pages(GATEWAY, namespace, page=2)]
    items = [item for page in pages for item in page.items]
    assert [item["metadata"]["name"] for item in items] == [f"g{number}" for number in range(5)]
    assert {(item["apiVersion"], item["kind"]) for item in items} == {
        ("llmgateway.dev/v1alpha1", "LLMGateway")
    }
    assert len({page.resource_version for page in pages}) == 1


async def test_a_list_of_everywhere_and_by_selectors(client: Client, namespace: str) -> None:
    marked = config(namespace, "marked")
    marked["metadata"]["labels"] = {"mark": namespace}
    await client.create(marked, "test")
    await client.create(config(namespace, "plain"), "test")
    by_label = [page async for page in client.list_pages(CONFIG_MAP, labels=f"mark={namespace}")]
    assert [item["metadata"]["name"] for page in by_label for item in page.items] == ["marked"]
    by_field = [page async for page in client.list_pages(CONFIG_MAP, namespace, fields="metadata.name=plain")]
    assert [item["metadata"]["name"] for page in by_field for item in page.items] == ["plain"]


async def test_apply_creates_changes_and_removes_what_it_had_set(client: Client, namespace: str) -> None:
    first = await client.apply(config(namespace, a="1", b="2"), "ours")
    again = await client.apply(config(namespace, a="1", b="2"), "ours")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await client.apply(config(namespace, c="3"), "theirs")
    last = await client.apply(config(namespace, a="9"), "ours")
    assert last["data"] == {"a": "9", "c": "3"}


async def test_apply_takes_a_field_over_only_by_force(client: Client, namespace: str) -> None:
    await client.apply(config(namespace, a="1"), "theirs")
    with pytest.raises(ApiError, match="theirs") as caught:
        await client.apply(config(namespace, a="2"), "ours", force=False)
    assert caught.value.conflict
    assert (await client.apply(config(namespace, a="2"), "ours"))["data"] == {"a": "2"}


NOBODY = "00000000-0000-0000-0000-000000000000"
NO_APPLY = {
    "another object of that name": ("one", {"uid": NOBODY}, 422),
    "no object of that name": ("two", {"uid": NOBODY}, 409),
    "another state": ("one", {"resourceVersion": "1"}, 409),
}


@pytest.mark.parametrize(("name", "metadata", "status"), NO_APPLY.values(), ids=NO_APPLY.keys())
async def test_an_apply_for_one_object_touches(
    client: Client, namespace: str, name: str, metadata: Json, status: int
) -> None:
    there = await client.create(config(namespace, a="1"), "test")
    other = config(namespace, name, a="2")
    other["metadata"] |= metadata
    with pytest.raises(ApiError) as caught:
        await client.apply(other, "ours")
    assert caught.value.status == status
    assert await client.get(CONFIG_MAP, namespace, "two") is None
    right = config(namespace, a="2")
    right["metadata"]["uid"] = there["metadata"]["uid"]
    assert (await client.apply(right, "ours"))["data"] == {"a": "2"}


async def test_a_dry_run_answers_and_stores_nothing(client: Client, namespace: str) -> None:
    answer = await client.apply(config(namespace, a="1"), "ours", dry_run=True)
    assert answer["data"] == {"a": "1"}
    assert await client.get(CONFIG_MAP, namespace, "one") is None


async def test_a_field_that_does_not_exist_is_refused_at_once(client: Client, namespace: str) -> None:
    wrong = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "one"},
        "spec": {"replica": 1},
    }
    began = asyncio.get_running_loop().time()
    with pytest.raises(ApiError, match="replica"):
        await client.apply(wrong, "ours")
    assert asyncio.get_running_loop().time() - began < 5  # one attempt, not 30 s of them


async def test_an_object_that_breaks_a_rule_is_invalid_and_not_transient(
    client: Client, namespace: str
) -> None:
    wrong = gateway(namespace)
    wrong["spec"] = {"autoscaling": {"minReplicas": 9, "maxReplicas": 3}}
    with pytest.raises(ApiError) as caught:
        await client.apply(wrong, "ours")
    assert (caught.value.status, caught.value.reason, caught.value.transient) == (422, "Invalid", False)


async def test_status_is_merged_and_guarded_by_the_state_it_was_made_for(
    client: Client, namespace: str
) -> None:
    made = await client.create(gateway(namespace), "test")
    version = made["metadata"]["resourceVersion"]
    condition = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Progressing",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = {"observedGeneration": 1, "conditions": [condition]}
    written = await client.patch_status(GATEWAY, namespace, "one", status, version, "ours")
    assert written["status"]["conditions"] == [condition]
    with pytest.raises(ApiError) as caught:
        await client.patch_status(GATEWAY, namespace, "one", status, version, "ours")
    assert caught.value.conflict
    newer = written["metadata"]["resourceVersion"]
    same = await client.patch_status(GATEWAY, namespace, "one", status, newer, "ours")
    assert same["metadata"]["resourceVersion"] == newer
    less = await client.patch_status(GATEWAY, namespace, "one", {"conditions": None}, newer, "ours")
    assert less["status"] == {"observedGeneration": 1}
    assert less["metadata"]["generation"] == made["metadata"]["generation"]


async def test_create_and_replace_see_that_another_was_quicker(client: Client, namespace: str) -> None:
    made = await client.create(config(namespace, a="1"), "test")
    with pytest.raises(ApiError) as taken:
        await client.create(config(namespace), "test")
    assert (taken.value.conflict, taken.value.reason) == (True, "AlreadyExists")
    await client.replace({**made, "data": {"a": "2"}}, "test")
    with pytest.raises(ApiError) as stale:
        await client.replace({**made, "data": {"a": "3"}}, "test")
    assert (stale.value.conflict, stale.value.reason) == (True, "Conflict")


async def test_only_the_very_object_is_deleted(client: Client, namespace: str) -> None:
    made = await client.create(config(namespace), "test")
    with pytest.raises(ApiError) as caught:
        await client.delete(CONFIG_MAP, namespace, "one", NOBODY)
    assert caught.value.conflict
    assert await client.delete(CONFIG_MAP, namespace, "one", made["metadata"]["uid"]) is True
    assert await client.delete(CONFIG_MAP, namespace, "one", made["metadata"]["uid"]) is False


async def test_the_version_of_the_server(client: Client) -> None:
    major, minor = await client.server_version()
    assert major == 1
    assert minor >= 25


async def test_the_refusal_of_a_secret_does_not_repeat_its_values(client: Client, namespace: str) -> None:
    value = base64.b64encode(b"planted-secret-value").decode()
    wrong: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": "one"},
        "data": {"not a key": value, "k": "planted, and not base64"},
    }
    for data in (wrong["data"], {"k": "planted, and not base64"}, {"not a key": value}):
        with pytest.raises(ApiError) as caught:
            await client.apply({**wrong, "data": data}, "ours")
        assert not caught.value.transient
        assert "planted" not in str(caught.value)
        assert value not in str(caught.value)


async def test_a_service_account_may_do_what_its_role_says(cluster: ControlPlane, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}").text()
    role = ("create", "role", "reader", "--verb=get", "--resource=configmaps", f"--namespace={namespace}")
    cluster.kubectl(*role).text()
    to = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", to, f"--namespace={namespace}").text()
    kubeconfig = cluster.kubeconfig_for(cluster.token_for(namespace, "reader"))
    async with connected(kubeconfig) as reader:
        assert await reader.get(CONFIG_MAP, namespace, "none") is None
        with pytest.raises(ApiError) as caught:
            await reader.get(SECRET, namespace, "none")
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")


async def test_a_kubeconfig_that_is_not_there_is_said(cluster: ControlPlane) -> None:
    with pytest.raises(NoCredentials, match="no way to reach"):
        async with connected(cluster.folder / "absent"):
            pass


async def test_an_outage_is_sat_out_within_the_limit(
    namespace: str, cluster: ControlPlane, client: Client
) -> None:
    await client.create(config(namespace, a="1"), "test")
    cluster.stop_apiserver()
    try:
        with pytest.raises(Unreachable):
            await client.get(CONFIG_MAP, namespace, "one", limit=1.0)
        waiting = asyncio.create_task(client.apply(config(namespace, b="2"), "ours"))
        await asyncio.sleep(0.5)
    finally:
        cluster.start_apiserver()  # from this thread: its processes end with the thread that started them
    assert (await waiting)["data"] == {"a": "1", "b": "2"}


async def test_a_server_that_hangs_is_left_in_time(cluster: ControlPlane, client: Client) -> None:
    await client.server_version()
    cluster.pause_apiserver()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(Unreachable, match="no answer within"):
                await client.get(NAMESPACE, None, "default", limit=1.0)
    finally:
        cluster.resume_apiserver()
    assert await client.get(NAMESPACE, None, "default") is not None
    assert await client.get(DEPLOYMENT, "default", "none") is None
