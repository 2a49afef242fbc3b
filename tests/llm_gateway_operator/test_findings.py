"""What is wrong becomes a finding with a reason, and what it is about is not in the document; the rest is."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from llm_gateway_config.load import load_text
from llm_gateway_operator.admit import admit_gateway, admit_provider
from llm_gateway_operator.api.conditions import CONDITION_OF, ConditionType, Reason
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.api.secret import Secret
from llm_gateway_operator.objects import Found, Key, Objects, Source
from llm_gateway_operator.secrets import LocalSecrets
from llm_gateway_operator.translate import Listen, Translated, translate

GATEWAY = Key("team", "gw")


def found(model: Any, kind: str, namespace: str, name: str, **fields: Any) -> tuple[Key, Any]:
    metadata = {"name": name, "namespace": namespace, **fields.pop("metadata", {})}
    version = "v1" if kind == "Secret" else "llmgateway.dev/v1alpha1"
    data = {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}
    return Key(namespace, name), Found(
        model.model_validate(data), Source(f"{kind} {namespace}/{name}", None, {})
    )


def provider(name: str, namespace: str = "team", **spec: Any) -> tuple[Key, Found[LLMProvider]]:
    spec = {"type": "Mock", "models": [{"name": "echo"}], **spec}
    return found(LLMProvider, "LLMProvider", namespace, name, spec=spec)


def secret(name: str, namespace: str = "team", **fields: Any) -> tuple[Key, Found[Secret]]:
    return found(Secret, "Secret", namespace, name, **fields)


def translated(
    spec: Mapping[str, Any],
    *objects: tuple[Key, Any],
    unreadable: frozenset[tuple[str, Key]] = frozenset(),
    namespaces: Mapping[str, Mapping[str, str]] | None = None,
) -> Translated:
    providers = {key: each for key, each in objects if isinstance(each.value, LLMProvider)}
    secrets = {key: each for key, each in objects if isinstance(each.value, Secret)}
    gateways = dict([found(LLMGateway, "LLMGateway", "team", "gw", spec=spec)])
    known = Objects(providers, gateways, secrets, unreadable, namespaces or {})
    return translate(known, GATEWAY, LocalSecrets(secrets, {}, []), Listen())


def told(answer: Translated) -> list[tuple[str, str, str, str]]:
    every = [*answer.problems, *answer.left_out.values(), *answer.warnings]
    return [(each.kind, str(each.key), each.path, each.reason) for each in every]


KEY = {"secretRef": {"name": "keys", "key": "a"}}
OPENAI: dict[str, Any] = {"type": "OpenAI", "auth": KEY}
TARGETS = "spec.routing.models[0].targets[0]"
Finding4 = tuple[str, str, str, str]


def routed(provider: str, model: str = "echo") -> dict[str, Any]:
    good = {"provider": "mock", "model": "echo", "priority": 1}
    return {
        "routing": {"models": [{"name": "chat", "targets": [{"provider": provider, "model": model}, good]}]}
    }


REASONS: dict[str, tuple[dict[str, Any], list[tuple[Key, Any]], Finding4]] = {
    "a reference to nothing": (
        {"providers": {"refs": [{"name": "mock"}, {"name": "gone"}]}},
        [],
        ("LLMGateway", "team/gw", "spec.providers.refs[1].name", "ProviderNotFound"),
    ),
    "a target of nothing": (
        routed("gone"), [], ("LLMGateway", "team/gw", f"{TARGETS}.provider", "ProviderNotFound")
    ),
    "a target that is not selected": (
        {"providers": {"refs": [{"name": "mock"}]}, **routed("other")},
        [provider("other")],
        ("LLMGateway", "team/gw", f"{TARGETS}.provider", "ProviderNotFound"),
    ),
    "a target without its model": (
        routed("mock", "gpt"), [], ("LLMGateway", "team/gw", f"{TARGETS}.model", "ModelNotFound")
    ),
    "a provider of another namespace without consent": (
        {"providers": {"refs": [{"name": "mock"}, {"name": "x", "from": {"namespace": "b", "name": "p"}}]}},
        [provider("p", "b")],
        ("LLMGateway", "team/gw", "spec.providers.refs[1].from", "RefNotPermitted"),
    ),
    "a provider of another namespace that is not there": (
        {"providers": {"refs": [{"name": "mock"}, {"name": "x", "from": {"namespace": "b", "name": "p"}}]}},
        [],
        ("LLMGateway", "team/gw", "spec.providers.refs[1].from", "RefNotPermitted"),
    ),
    "a name given twice": (
        {"providers": {"selector": {}, "refs": [{"name": "mock", "from": {"namespace": "b", "name": "p"}}]}},
        [provider("p", "b", allowedGateways={"namespaces": {"from": "All"}})],
        ("LLMGateway", "team/gw", "spec.providers.refs[0].name", "Invalid"),
    ),
    "no credential where one is needed": (
        {}, [provider("openai", type="OpenAI")], ("LLMProvider", "team/openai", "spec.auth", "CredentialMissing")
    ),
    "no Secret": (
        {}, [provider("openai", **OPENAI)], ("LLMProvider", "team/openai", "spec.auth.secretRef", "SecretNotFound")
    ),
    "a Secret without the key": (
        {},
        [provider("openai", **OPENAI), secret("keys", stringData={"b": "sk"})],
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "SecretKeyNotFound"),
    ),
    "a Secret of another namespace": (
        {},
        [provider("openai", **OPENAI), secret("keys", "b", stringData={"a": "sk"})],
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "SecretNotFound"),
    ),
    "a Secret with an empty value": (
        {},
        [provider("openai", **OPENAI), secret("keys", stringData={"a": ""})],
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "CredentialMissing"),
    ),
    "a Secret of Kubernetes' own": (
        {},
        [provider("openai", **OPENAI), secret("keys", type="kubernetes.io/tls", stringData={"a": "sk"})],
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "RefNotPermitted"),
    ),
    "a Secret that is for another host": (
        {},
        [
            provider("openai", **OPENAI, baseURL="https://evil.example.com/v1"),
            secret(
                "keys",
                stringData={"a": "sk"},
                metadata={"annotations": {"llmgateway.dev/allowed-hosts": "api.openai.com"}},
            ),
        ],
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "RefNotPermitted"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "objects", "finding"), REASONS.values(), ids=REASONS)
def test_one_thing_is_wrong_and_the_rest_is_served(
    spec: dict[str, Any], objects: list[tuple[Key, Any]], finding: Finding4
) -> None:
    answer = translated(spec, provider("mock"), *objects)
    assert told(answer) == [finding]
    assert CONDITION_OF[Reason(finding[3])] in (ConditionType.ACCEPTED, ConditionType.RESOLVED_REFS)
    assert "mock" in answer.document["providers"]
    assert_served(answer)
    for model in answer.document.get("routing", {}).get("models", {}).values():
        assert model["targets"] == [{"provider": "mock", "model": "echo", "priority": 1}]


def assert_served(answer: Translated) -> None:
    """The contract takes the document as it stands."""
    text = yaml.safe_dump(dict(answer.document))
    load_text(text, source="gateway.yaml", env={}, base=None, strict=True)


def test_a_model_loses_all_targets_and_is_left_out() -> None:
    spec = {"routing": {"models": [{"name": "chat", "targets": [{"provider": "openai", "model": "echo"}]}]}}
    answer = translated(spec, provider("mock"), provider("openai", **OPENAI))
    assert told(answer) == [
        ("LLMProvider", "team/openai", "spec.auth.secretRef", "SecretNotFound"),
        ("LLMGateway", "team/gw", "spec.routing.models[0]", "NoModels"),
    ]
    assert set(answer.document) == {"contract", "revision", "providers"}
    assert_served(answer)


def test_a_target_of_a_provider_that_could_not_be_read_is_left_out_without_a_word() -> None:
    answer = translated(
        routed("broken"), provider("mock"), unreadable=frozenset({("LLMProvider", Key("team", "broken"))})
    )
    assert told(answer) == []
    assert_served(answer)
    assert [target["provider"] for target in answer.document["routing"]["models"]["chat"]["targets"]] == [
        "mock"
    ]


def test_nothing_is_selected() -> None:
    answer = translated({})
    assert told(answer) == [("LLMGateway", "team/gw", "spec.providers", "NoModels")]
    assert_served(answer)


def test_a_listener_on_the_port_of_the_metrics_is_left_out() -> None:
    answer = translated({"listeners": [{"name": "http", "port": 9090}]}, provider("mock"))
    assert [each.reason for each in answer.problems] == ["Invalid"]
    assert "server" not in answer.document


FROM_PLATFORM = {
    "providers": {"refs": [{"name": "shared", "from": {"namespace": "platform", "name": "openai"}}]}
}
LABELS = {"platform": {}, "team": {"stage": "prod"}}
CONSENTS: dict[str, tuple[Any, bool]] = {
    "nothing said": (None, False),
    "nothing said of namespaces": ({}, False),
    "its own namespace": ({"namespaces": {"from": "Same"}}, False),
    "every namespace": ({"namespaces": {"from": "All"}}, True),
    "namespaces by a label": (
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"stage": "prod"}}}}, True
    ),
    "namespaces by another label": (
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"stage": "test"}}}}, False
    ),
    "a namespace by its name": (
        {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "team"}}}},
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("allowed", "served"), CONSENTS.values(), ids=CONSENTS)
def test_consent(allowed: Any, served: bool) -> None:
    there = provider("openai", "platform", **({} if allowed is None else {"allowedGateways": allowed}))
    answer = translated(FROM_PLATFORM, there, namespaces=LABELS)
    assert list(answer.selection.providers) == (["shared"] if served else [])
    assert [each.reason for each in answer.problems] == ([] if served else ["RefNotPermitted"])


@pytest.mark.parametrize(
    "spec", [{}, {"providers": {"selector": {}}}, {"providers": {"refs": [{"name": "echo"}]}}]
)
def test_a_provider_of_another_namespace_never_comes_unasked(spec: dict[str, Any]) -> None:
    willing = provider("echo", "platform", allowedGateways={"namespaces": {"from": "All"}})
    assert not translated(spec, willing).selection.providers


def test_a_secret_may_name_the_hosts_it_is_for() -> None:
    annotations = {"llmgateway.dev/allowed-hosts": "llm.corp, API.openai.com"}
    keys = secret("keys", stringData={"a": "sk"}, metadata={"annotations": annotations})
    answer = translated({}, provider("openai", **OPENAI), keys)
    assert told(answer) == []
    assert len(answer.credentials) == 1


def resource(kind: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "team", "uid": "u", "resourceVersion": "7", "managedFields": []}
    return {
        "apiVersion": "llmgateway.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": {"x": 1},
    }  # fmt: skip


MOCK = {"type": "Mock", "models": [{"name": "echo"}]}
ADMITTED: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]]]] = {
    "a sound provider": (resource("LLMProvider", **MOCK), []),
    "a sound gateway": (resource("LLMGateway"), []),
    "a type that came later": (
        resource("LLMProvider", **{**MOCK, "type": "Anthropic"}),
        [("spec.type", "UnsupportedValue", "not supported by this version")],
    ),
    "a type that nobody knows yet": (
        resource("LLMProvider", **{**MOCK, "type": "Neural"}),
        [
            ("spec.type", "UnsupportedValue", 'must be one of: OpenAI, OpenAICompatible, Mock; is "Neural"'),
        ],
    ),
    "a field that came later": (
        resource("LLMGateway", auth={"mode": "Required"}),
        [("spec.auth", "UnsupportedValue", "not supported by this version")],
    ),
    "a field that nobody knows yet": (
        resource("LLMGateway", quota={}), [("spec.quota", "UnsupportedValue", "unknown field")]
    ),
    "what an older CRD let through": (
        resource("LLMGateway", replicas=-1), [("spec.replicas", "Invalid", "must be 0 or more, is -1")]
    ),
    "what breaks a rule": (
        resource("LLMProvider", **MOCK, baseURL="http://a.example.com"),
        [("spec.baseURL", "Invalid", "must be absent with type Mock, which calls nobody")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("obj", "findings"), ADMITTED.values(), ids=ADMITTED)
def test_an_object_of_the_api_server(obj: dict[str, Any], findings: list[tuple[str, str, str]]) -> None:
    admitted = admit_provider(obj) if obj["kind"] == "LLMProvider" else admit_gateway(obj)
    assert [(each.path, each.reason, each.message) for each in admitted.findings] == findings
    assert (admitted.found is None) == bool(findings)
    for finding in admitted.findings:
        assert (finding.kind, finding.key, finding.line) == (obj["kind"], Key("team", "one"), None)
        assert str(finding).startswith(f"{obj['kind']} team/one: spec.")
