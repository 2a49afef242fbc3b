"""What holds for the objects together: order, owner, labels, secret values, and what never rolls pods."""

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_config import Secret
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.manifests import manifests_text
from llm_gateway_operator.render.children import Child, render
from llm_gateway_operator.render.intent import Installation, Intent
from llm_gateway_operator.render.size import LARGEST, too_large
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_testing.rendered import CASES, rendered, rendered_from

SERVER = ServerVersion(1, 34)
PLANTED = "sk-planted-marker"


def intent(spec: dict[str, Any] | None = None, **changes: Any) -> Intent:
    gateway = LLMGateway.model_validate(
        {
            "apiVersion": "llmgateway.dev/v1alpha1",
            "kind": "LLMGateway",
            "metadata": {"name": "one", "namespace": "two"},
            "spec": spec or {},
        }
    )
    made = Intent(
        name="one",
        namespace="two",
        uid="1-2-3",
        spec=gateway.spec,
        document="contract: 1\n",
        revision="abc",
        credentials={"b": Secret(PLANTED), "a": Secret("sk-other")},
        port=8080,
        drain_timeout=600.0,
        installation=Installation("image:1", "system"),
    )
    return dataclasses.replace(made, **changes)


def only(children: list[Child], kind: str) -> dict[str, Any]:
    [found] = [child.object for child in children if child.object["kind"] == kind]
    return found


def test_the_order_is_that_of_applying() -> None:
    children = render(intent({"autoscaling": {"maxReplicas": 3}}), SERVER)
    assert [(child.object["kind"], child.object["metadata"]["name"]) for child in children] == [
        ("ServiceAccount", "one"),
        ("Secret", "one-credentials"),
        ("ConfigMap", "one-config"),
        ("Service", "one"),
        ("Deployment", "one"),
        ("HorizontalPodAutoscaler", "one"),
        ("PodDisruptionBudget", "one"),
        ("NetworkPolicy", "one"),
    ]


def test_every_object_belongs_to_the_gateway() -> None:
    owner = {
        "apiVersion": "llmgateway.dev/v1alpha1",
        "kind": "LLMGateway",
        "name": "one",
        "uid": "1-2-3",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    for child in render(intent(), SERVER):
        metadata = child.object["metadata"]
        assert metadata["namespace"] == "two"
        assert metadata["ownerReferences"] == [owner]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "llm-gateway-operator"
        assert metadata["labels"]["llmgateway.dev/gateway"] == "one"


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_the_gateways_own_metadata_is_copied(case: str) -> None:
    for child in rendered(case):
        labels, annotations = (child.object["metadata"].get(part, {}) for part in ("labels", "annotations"))
        assert "team" not in labels
        assert not [name for name in {**labels, **annotations} if "argoproj" in name]


def test_secret_values_stand_in_the_secret_alone() -> None:
    children = render(intent(), SERVER)
    encoded = base64.b64encode(PLANTED.encode()).decode()
    assert only(children, "Secret")["data"] == {"a": "c2stb3RoZXI=", "b": encoded}
    shown = manifests_text(children) + repr(children) + repr(intent())
    assert PLANTED not in shown
    assert encoded not in shown
    for child in children:
        if child.object["kind"] != "Secret":
            assert encoded not in str(child.object)
            assert PLANTED not in str(child.object)


def test_the_order_of_credentials_does_not_matter() -> None:
    swapped = intent(credentials={"a": Secret("sk-other"), "b": Secret(PLANTED)})
    assert manifests_text(render(swapped, SERVER)) == manifests_text(render(intent(), SERVER))


def test_a_change_of_configuration_never_rolls_pods() -> None:
    changed = intent(document="contract: 1\nrevision: def\n", revision="def", credentials={})
    assert only(render(changed, SERVER), "Deployment") == only(render(intent(), SERVER), "Deployment")


def test_labels_that_select_pods_cannot_be_overlaid() -> None:
    labels = {"llmgateway.dev/gateway": "other", "app.kubernetes.io/managed-by": "me", "team": "llm"}
    spec = {"podTemplate": {"metadata": {"labels": labels}}}
    deployment = only(render(intent(spec), SERVER), "Deployment")
    found = deployment["spec"]["template"]["metadata"]["labels"]
    assert found["team"] == "llm"
    assert found["llmgateway.dev/gateway"] == "one"
    assert found["app.kubernetes.io/managed-by"] == "llm-gateway-operator"
    assert deployment["spec"]["selector"]["matchLabels"].items() <= found.items()


def test_an_autoscaled_deployment_says_no_number() -> None:
    deployment = only(render(intent({"autoscaling": {"maxReplicas": 3}}), SERVER), "Deployment")
    assert "replicas" not in deployment["spec"]


def test_zero_replicas_are_a_wish() -> None:
    assert only(render(intent({"replicas": 0}), SERVER), "Deployment")["spec"]["replicas"] == 0


GRACE = {
    "no drain at all": (0.0, 15),
    "a part of a second": (0.5, 16),
    "ten minutes": (600.0, 615),
}


@pytest.mark.parametrize(("drain", "seconds"), GRACE.values(), ids=GRACE)
def test_the_grace_period_has_room_for_the_drain(drain: float, seconds: int) -> None:
    deployment = only(render(intent(drain_timeout=drain), SERVER), "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == seconds
    # Else the API server refuses the hook.
    assert spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] < seconds


def test_an_overlay_that_is_nonsense_is_left_to_the_api_server() -> None:
    for spec in ({"containers": "x"}, {"containers": [None, {"name": "gateway", "resources": [1]}]}):
        template = only(render(intent({"podTemplate": {"spec": spec}}), SERVER), "Deployment")
        assert template["kind"] == "Deployment"


def test_the_port_is_that_of_the_document(tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(
        "apiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\nmetadata: {name: one}\n"
        "spec: {listeners: [{name: web, port: 8443}]}\n---\n"
        "apiVersion: llmgateway.dev/v1alpha1\nkind: LLMProvider\nmetadata: {name: mock}\n"
        "spec: {type: Mock, models: [{name: echo}]}\n"
    )
    children = rendered_from(tmp_path)
    assert "port: 8443" in only(children, "ConfigMap")["data"]["gateway.yaml"]
    assert only(children, "Service")["spec"]["ports"][0]["port"] == 8443
    container = only(children, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"][0]["containerPort"] == 8443
    assert only(children, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"] == 8443


SIZES: dict[str, tuple[dict[str, Any], str | None]] = {
    "all of it": ({}, None),
    "a document that just fits": ({"document": "x" * LARGEST}, None),
    "a document that does not": ({"document": "x" * LARGEST + "x"}, "gateway.yaml is 1048577 bytes"),
    "a document of long characters": (
        {"document": "é" * (LARGEST // 2 + 1)},
        "gateway.yaml is 1048578 bytes",
    ),
    "credentials that do not": (
        {"credentials": {"a": Secret("x" * LARGEST), "b": Secret("x")}},
        "the credentials are 1048577 bytes",
    ),
}


@pytest.mark.parametrize(("changes", "beginning"), SIZES.values(), ids=SIZES)
def test_what_does_not_fit_is_said(changes: dict[str, Any], beginning: str | None) -> None:
    said = too_large(intent(**changes))
    assert (said is None) if beginning is None else (said is not None and said.startswith(beginning))
