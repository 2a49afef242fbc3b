"""What a real API server says to the rendered objects, in a namespace where restricted Pod Security is enforced."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.defaults import path_text
from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.kubectl import Output
from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.rendered import CASES, rendered

NAMESPACE = "llm-gateway"
MANAGER = "llm-gateway-operator"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        running.kubectl("create", "namespace", NAMESPACE).text()
        # `warn` too: a Deployment is never refused for its pods, only warned about.
        levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
        running.kubectl("label", "namespace", NAMESPACE, *levels).text()
        # Pods are not admitted without their ServiceAccount.
        account = next(child for child in rendered("minimal") if child.object["kind"] == "ServiceAccount")
        running.kubectl("create", "-f", "-", stdin=json.dumps(account.object)).text()
        yield running


def apply(cluster: ControlPlane, children: list[Child], *options: str) -> Output:
    items = [child.object for child in children]
    return cluster.kubectl(
        *("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}"),
        *("--output=json", "--show-managed-fields", "--filename=-", *options),
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
    )


def listed(output: Output) -> list[Any]:
    answer = output.json()
    return answer["items"] if answer["kind"] == "List" else [answer]


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_accepted_without_a_warning(cluster: ControlPlane, case: str) -> None:
    children = rendered(case)
    output = apply(cluster, children, "--dry-run=server")
    assert len(listed(output)) == len(children)
    assert output.stderr == ""


@pytest.mark.parametrize("case", CASES)
def test_every_default_is_a_leaf_that_the_operator_owns(cluster: ControlPlane, case: str) -> None:
    children = rendered(case)
    lost = [
        f"{child.object['kind']} {path_text(path)}"
        for child, answer in zip(children, listed(apply(cluster, children, "--dry-run=server")), strict=True)
        for path in child.defaults
        if owned(answer, path) != {}
    ]
    assert lost == []


def owned(answer: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """What stands at `path` in the fields that the operator owns by applying: {} for a leaf, None for nothing."""
    [entry] = [
        entry
        for entry in answer["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"]) == (MANAGER, "Apply")
    ]
    fields = entry["fieldsV1"]
    for step in path:
        fields = fields.get(step) if fields is not None else None
    return fields


def pod(children: list[Child]) -> dict[str, Any]:
    [deployment] = [child.object for child in children if child.object["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "one", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def admit(cluster: ControlPlane, rendered_pod: Mapping[str, Any]) -> Output:
    return cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(rendered_pod))


@pytest.mark.parametrize("case", CASES)
def test_pods_are_admitted_under_restricted_pod_security(cluster: ControlPlane, case: str) -> None:
    output = admit(cluster, pod(rendered(case)))
    assert output.ok, output.failure
    assert output.stderr == ""


def test_pods_that_may_more_are_not(cluster: ControlPlane) -> None:
    greedy = pod(rendered("minimal"))
    greedy["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert "violates PodSecurity" in admit(cluster, greedy).failure


def test_pods_come_and_applying_again_changes_nothing(cluster: ControlPlane) -> None:
    children = rendered("autoscaling")
    first = [age(answer) for answer in listed(apply(cluster, children))]
    eventually("a pod of the Deployment", lambda: pods(cluster))
    assert [age(answer) for answer in listed(apply(cluster, children))] == first


def age(answer: Mapping[str, Any]) -> tuple[str, object]:
    """What moves with every change of an object, but not with its status."""
    metadata = answer["metadata"]
    if "generation" in metadata:
        return answer["kind"], metadata["generation"]
    # Of an autoscaler no changes are counted, and its controller writes its status at any time.
    return answer["kind"], answer["spec"] if "status" in answer else metadata["resourceVersion"]


def pods(cluster: ControlPlane) -> list[Any]:
    items: list[Any] = cluster.kubectl("get", "pods", "--namespace", NAMESPACE, "--output=json").json()[
        "items"
    ]
    return items
