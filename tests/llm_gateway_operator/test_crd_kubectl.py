"""What a person sees of the two kinds through the real kubectl: columns, `explain`, and edits of several managers."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.kubectl import Output
from llm_gateway_testing.repository import ROOT

PROVIDER = """
apiVersion: llmgateway.dev/v1alpha1
kind: LLMProvider
metadata: {name: openai}
spec:
  type: OpenAI
  auth: {secretRef: {name: llm-gateway-secrets, key: openai-api-key}}
  models: [{name: gpt-4o}, {name: gpt-4o-mini}]
"""

GATEWAY = """
apiVersion: llmgateway.dev/v1alpha1
kind: LLMGateway
metadata: {name: llm-gateway}
spec:
  routing:
    models:
    - name: chat
      targets: [{provider: openai, model: gpt-4o, weight: 80}, {provider: mock, model: echo, weight: 20}]
"""

SINCE = "2026-01-01T00:00:00Z"

GATEWAY_STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "PartiallyReady",
            "message": "a",
            "lastTransitionTime": SINCE,
        },
        {
            "type": "Programmed",
            "status": "True",
            "reason": "Programmed",
            "message": "",
            "lastTransitionTime": SINCE,
        },
    ],
    "providers": "2/3",
    "models": 4,
    "replicas": "3/3",
    "revision": "ab12",
    "url": "http://llm-gateway.llm.svc:8080",
    "credentials": [
        {"namespace": "llm", "secret": "keys", "key": "a", "fingerprint": "0a1b2c3d", "publishedAt": SINCE}
    ],
    "problems": [
        {"object": "LLMProvider llm/x", "path": "spec.auth", "reason": "SecretNotFound", "message": "no"}
    ],
}

PROVIDER_STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "SecretNotFound",
            "message": "",
            "lastTransitionTime": SINCE,
        },
        {
            "type": "Healthy",
            "status": "Unknown",
            "reason": "NoTraffic",
            "message": "",
            "lastTransitionTime": SINCE,
        },
    ],
    "models": 2,
    "gatewayCount": 1,
    "gateways": [{"namespace": "llm", "name": "llm-gateway", "serving": True}],
}

NUMBERS = count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(parts=("apiserver",), crds=(ROOT / "crds",)) as running:
        yield running


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    name = f"test-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", name).text()
    for text in (PROVIDER, GATEWAY):
        apply(cluster, name, text).text()
    return name


def apply(cluster: ControlPlane, namespace: str, text: str, manager: str = "admin") -> Output:
    return cluster.kubectl(
        "apply",
        "--server-side",
        f"--namespace={namespace}",
        f"--field-manager={manager}",
        "-f",
        "-",
        stdin=text,
    )


def set_status(cluster: ControlPlane, namespace: str, name: str, status: Any) -> Output:
    patch = json.dumps({"status": status})
    return cluster.kubectl(
        "patch", name, f"--namespace={namespace}", "--subresource=status", "--type=merge", f"--patch={patch}"
    )


def table(cluster: ControlPlane, namespace: str, *args: str) -> list[list[str]]:
    """The lines of `kubectl get`; the age is left out, which moves."""
    lines = cluster.kubectl("get", *args, f"--namespace={namespace}").text().splitlines()
    rows = [line.split() for line in lines]
    age = rows[0].index("AGE")
    return [row[:age] + row[age + 1 :] for row in rows]


def test_the_columns_of_a_gateway(cluster: ControlPlane, namespace: str) -> None:
    set_status(cluster, namespace, "llmgateway/llm-gateway", GATEWAY_STATUS).text()
    narrow = ["llm-gateway", "True", "PartiallyReady", "2/3", "4", "3/3"]
    assert table(cluster, namespace, "llmgw") == [
        ["NAME", "READY", "REASON", "PROVIDERS", "MODELS", "REPLICAS"],
        narrow,
    ]
    assert table(cluster, namespace, "llmgw", "-o", "wide") == [
        ["NAME", "READY", "REASON", "PROVIDERS", "MODELS", "REPLICAS", "PROGRAMMED", "REVISION", "URL"],
        [*narrow, "True", "ab12", "http://llm-gateway.llm.svc:8080"],
    ]


def test_the_columns_of_a_provider(cluster: ControlPlane, namespace: str) -> None:
    set_status(cluster, namespace, "llmprovider/openai", PROVIDER_STATUS).text()
    narrow = ["openai", "OpenAI", "False", "Unknown", "2", "1"]
    assert table(cluster, namespace, "llmprov") == [
        ["NAME", "TYPE", "READY", "HEALTHY", "MODELS", "GATEWAYS"],
        narrow,
    ]
    assert table(cluster, namespace, "llmprov", "-o", "wide") == [
        ["NAME", "TYPE", "READY", "HEALTHY", "MODELS", "GATEWAYS", "REASON"],
        [*narrow, "SecretNotFound"],
    ]


def test_one_category_lists_both_kinds(cluster: ControlPlane, namespace: str) -> None:
    listed = cluster.kubectl("get", "llm", f"--namespace={namespace}", "-o", "name").text().split()
    assert listed == ["llmgateway.llmgateway.dev/llm-gateway", "llmprovider.llmgateway.dev/openai"]


def test_an_object_with_a_status_is_all_that_the_schema_knows(cluster: ControlPlane, namespace: str) -> None:
    """What the schema does not know, the API server would drop without a word."""
    for name, status in (("llmgw/llm-gateway", GATEWAY_STATUS), ("llmprov/openai", PROVIDER_STATUS)):
        set_status(cluster, namespace, name, status).text()
        stored = cluster.kubectl("get", name, f"--namespace={namespace}", "-o", "json").json()
        assert stored["status"] == status


def test_a_status_is_no_part_of_the_spec(cluster: ControlPlane, namespace: str) -> None:
    set_status(cluster, namespace, "llmgw/llm-gateway", {"models": 4}).text()
    apply(cluster, namespace, GATEWAY + "status: {models: 5}\n", manager="other").text()
    stored = cluster.kubectl("get", "llmgw/llm-gateway", f"--namespace={namespace}", "-o", "json").json()
    assert stored["status"] == {"models": 4}
    assert stored["metadata"]["generation"] == 1


def test_nothing_is_added_to_a_spec(cluster: ControlPlane, namespace: str) -> None:
    """A default would show as the user's wish, and a renderer could no longer yield."""
    apply(
        cluster, namespace, GATEWAY.partition("spec:")[0].replace("llm-gateway", "bare") + "spec: {}"
    ).text()
    stored = cluster.kubectl("get", "llmgw/bare", f"--namespace={namespace}", "-o", "json").json()
    assert stored["spec"] == {}


WEIGHT = """
apiVersion: llmgateway.dev/v1alpha1
kind: LLMGateway
metadata: {name: llm-gateway}
spec: {routing: {models: [{name: chat, targets: [{provider: mock, model: echo, weight: 50}]}]}}
"""

IMAGE = """
apiVersion: llmgateway.dev/v1alpha1
kind: LLMGateway
metadata: {name: llm-gateway}
spec: {podTemplate: {spec: {containers: [{name: gateway, IMAGE}]}}}
"""


def test_a_second_manager_moves_one_weight(cluster: ControlPlane, namespace: str) -> None:
    refused = apply(cluster, namespace, WEIGHT, manager="canary")
    assert "conflict with" in refused.failure
    assert 'targets[model="echo",provider="mock"].weight' in refused.failure
    command = (
        "apply",
        "--server-side",
        f"--namespace={namespace}",
        "--field-manager=canary",
        "--force-conflicts",
    )
    cluster.kubectl(*command, "-f", "-", stdin=WEIGHT).text()
    stored = cluster.kubectl("get", "llmgw/llm-gateway", f"--namespace={namespace}", "-o", "json").json()
    [chat] = stored["spec"]["routing"]["models"]
    assert [target["weight"] for target in chat["targets"]] == [80, 50]


def test_two_managers_share_a_container_of_the_pod_template(cluster: ControlPlane, namespace: str) -> None:
    resources = "resources: {requests: {cpu: 500m}}, env: [{name: A, value: b}]"
    apply(cluster, namespace, IMAGE.replace("IMAGE", "image: 'gateway:1.0'"), manager="images").text()
    apply(cluster, namespace, IMAGE.replace("IMAGE", resources), manager="platform").text()
    stored = cluster.kubectl("get", "llmgw/llm-gateway", f"--namespace={namespace}", "-o", "json").json()
    assert stored["spec"]["podTemplate"]["spec"]["containers"] == [
        {
            "name": "gateway",
            "image": "gateway:1.0",
            "resources": {"requests": {"cpu": "500m"}},
            "env": [{"name": "A", "value": "b"}],
        }
    ]


EXPLAINED = {
    "llmgateway": "A fleet of LLM gateway pods",
    "llmgateway.spec.routing": "Absent: each model by the providers that list it.",
    "llmgateway.spec.routing.models.targets": "Tried in ascending order",
    "llmgw.spec.autoscaling": "Excludes metrics.",
    "llmgw.status": "Providers served of those selected, like 2/3.",
    "llmprovider.spec": "The dialect that the upstream speaks.",
    "llmprov.spec.timeouts.firstToken": "From the head of a stream to its first content. Absent: 60s.",
    "llmprov.spec.type": "ENUM: OpenAI OpenAICompatible Mock",
}


@pytest.mark.parametrize(("field", "says"), EXPLAINED.items(), ids=EXPLAINED)
def test_explain_reads_well(cluster: ControlPlane, field: str, says: str) -> None:
    explained = cluster.kubectl("explain", field).text()
    assert says in " ".join(explained.split())
    assert "<no description>" not in explained


def test_the_largest_objects_fit_the_budget_of_the_rules(cluster: ControlPlane, namespace: str) -> None:
    """The cost of rules is estimated when a CRD is made, and counted when an object is checked."""
    name = "m" * 250
    models = [
        {
            "name": f"{name}{number}",
            "upstreamModel": f"{name}{number}",
            "price": {"input": "999999999.999999999", "output": "999999999.999999999", "cachedInput": "0"},
        }
        for number in range(512)
    ]
    provider = {"type": "Mock", "models": models}
    targets = [{"provider": "p" * 61 + f"{number:02}", "model": name, "weight": 1} for number in range(16)]
    routed = [{"name": f"{name}{number}", "targets": targets} for number in range(256)]
    for kind, spec in (("LLMProvider", provider), ("LLMGateway", {"routing": {"models": routed}})):
        large = {
            "apiVersion": "llmgateway.dev/v1alpha1", "kind": kind, "metadata": {"name": "large"}, "spec": spec,
        }  # fmt: skip
        cluster.kubectl("create", f"--namespace={namespace}", "-f", "-", stdin=json.dumps(large)).text()
