"""From objects to what pods are to read, with a real API server and the real kubectl."""

from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.fleet import Fleet, gateway, openai, provider, secret

CHILDREN = {
    "ServiceAccount llm-gateway",
    "Secret llm-gateway-credentials",
    "ConfigMap llm-gateway-config",
    "Service llm-gateway",
    "Deployment llm-gateway",
    "PodDisruptionBudget llm-gateway",
    "NetworkPolicy llm-gateway",
}


def test_two_objects_become_a_fleet_that_goes_with_them(fleet: Fleet) -> None:
    scaling = {"minReplicas": 3, "maxReplicas": 20, "targetCPUUtilizationPercentage": 70}
    targets = [
        {"provider": "openai", "model": "gpt-4o", "weight": 80},
        {"provider": "mock", "model": "echo", "priority": 1},
    ]
    fleet.apply(
        secret("llm-gateway-secrets", **{"openai-api-key": "sk-one"}),
        openai("openai", "llm-gateway-secrets", "openai-api-key"),
        provider("mock"),
        gateway(autoscaling=scaling, routing={"models": [{"name": "chat", "targets": targets}]}),
    )
    expected = CHILDREN | {"HorizontalPodAutoscaler llm-gateway"}
    eventually("all children", lambda: fleet.names() == expected)
    owner = fleet.get("llmgateway")
    assert owner is not None
    for child in fleet.owned():
        [reference] = child["metadata"]["ownerReferences"]
        assert (reference["uid"], reference["controller"]) == (owner["metadata"]["uid"], True)
    assert fleet.document()["routing"]["models"]["chat"]["targets"][0]["weight"] == 80
    assert fleet.credentials() == {"sk-one"}
    fleet.becomes_ready()
    columns = fleet.kubectl("get", "llm", "--no-headers").text()
    assert columns.split()[:6] == [
        "llmgateway.llmgateway.dev/llm-gateway",
        "True",
        "Ready",
        "2/2",
        "3",
        "3/3",
    ]
    assert fleet.kubectl("wait", "--for=condition=Ready", "llmgw/llm-gateway", "--timeout=5s").ok
    for each in fleet.kubectl("get", "llm", "-o", "json").json()["items"]:
        assert each["metadata"].keys().isdisjoint({"finalizers", "annotations"})
    fleet.kubectl("delete", "llmgateway", "llm-gateway").text()
    eventually("no children", lambda: fleet.names() == set())


def test_each_change_reaches_the_published_configuration(fleet: Fleet) -> None:
    fleet.apply(secret("keys", key="sk-one"), openai("openai", "keys"), provider("mock"), gateway())
    eventually("both providers", lambda: fleet.providers() == {"openai", "mock"})
    fleet.apply(secret("keys", key="sk-two"))
    eventually("the new key", lambda: fleet.credentials() == {"sk-two"})
    fleet.apply(openai("openai", "keys", baseURL="https://example.com/v1"))
    eventually(
        "the new address",
        lambda: fleet.document()["providers"]["openai"].get("base_url") == "https://example.com/v1",
    )
    fleet.apply(gateway(providers={"selector": {"matchLabels": {"tier": "paid"}}}))
    eventually("no provider", lambda: fleet.providers() == set())
    fleet.says("Ready", "False", "NoModels")
    fleet.kubectl("label", "llmprovider", "mock", "tier=paid").text()
    eventually("the labelled one", lambda: fleet.providers() == {"mock"})
    fleet.kubectl("label", "llmprovider", "mock", "tier-").text()
    eventually("no provider again", lambda: fleet.providers() == set())


def test_one_bad_provider_is_left_out_and_the_rest_served(fleet: Fleet) -> None:
    fleet.apply(openai("openai", "keys"), provider("mock"), gateway())
    said = fleet.says("ResolvedRefs", "False", "SecretNotFound")
    assert f"LLMProvider {fleet.namespace}/openai" in said["message"]
    assert fleet.providers() == {"mock"}
    fleet.becomes_ready()
    fleet.says("Ready", "True", "PartiallyReady")
    fleet.says("Ready", "False", "SecretNotFound", "llmprovider", "openai")
    found = fleet.get("llmgateway")
    assert found is not None
    assert found["status"]["providers"] == "1/2"
    assert [(each["path"], each["reason"]) for each in found["status"]["problems"]] == [
        ("spec.auth.secretRef", "SecretNotFound")
    ]
    assert not fleet.condition("Stalled")

    fleet.apply(secret("keys", other="sk-one"))
    fleet.says("ResolvedRefs", "False", "SecretKeyNotFound")
    fleet.apply(secret("keys", key="sk-one"))
    fleet.says("Ready", "True", "Ready")
    fleet.says("Ready", "True", "Ready", "llmprovider", "openai")
    assert fleet.providers() == {"mock", "openai"}

    fleet.kubectl("delete", "secret", "keys").text()
    eventually("the key is gone", lambda: fleet.credentials() == set())
    fleet.says("Ready", "True", "PartiallyReady")


def test_a_rotated_key_shows_its_fingerprint_and_never_its_value(fleet: Fleet) -> None:
    fleet.apply(secret("keys", key="sk-first"), openai("openai", "keys"), gateway())

    def fingerprint() -> str | None:
        status = (fleet.get("llmgateway") or {}).get("status") or {}
        credentials = status.get("credentials") or [{}]
        return credentials[0].get("fingerprint")

    first = eventually("a fingerprint", fingerprint)
    fleet.apply(secret("keys", key="sk-second"))
    eventually("another fingerprint", lambda: fingerprint() not in (None, first))


def test_consent_is_needed_from_both_sides(fleet: Fleet) -> None:
    elsewhere = f"{fleet.namespace}-platform"
    fleet.cluster.kubectl("create", "namespace", elsewhere).text()
    platform = Fleet(fleet.cluster, elsewhere)
    platform.apply(secret("keys", key="sk-platform"), openai("shared", "keys"))
    source = {"namespace": elsewhere, "name": "shared"}
    fleet.apply(gateway(providers={"refs": [{"name": "gpt", "from": source}]}))
    fleet.says("ResolvedRefs", "False", "RefNotPermitted")
    assert fleet.credentials() == set()
    consent = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"llm": "yes"}}}}
    platform.apply(openai("shared", "keys", allowedGateways=consent))
    fleet.cluster.kubectl("label", "namespace", fleet.namespace, "llm=yes").text()
    eventually("the shared provider", lambda: fleet.providers() == {"gpt"})
    assert fleet.credentials() == {"sk-platform"}
    status = eventually(
        "the provider names its gateway",
        lambda: ((platform.get("llmprovider", "shared") or {}).get("status") or {}).get("gateways"),
    )
    assert status == [{"namespace": fleet.namespace, "name": "llm-gateway", "serving": True}]
    fleet.cluster.kubectl("label", "namespace", fleet.namespace, "llm-").text()
    eventually("it is withdrawn", lambda: fleet.credentials() == set())
