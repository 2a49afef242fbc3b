"""Good and bad objects, on a real API server: what it refuses, and that it says the field and the remedy.

The same tables are read as folders, so that `validate` and `local` never disagree with a cluster.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from llm_gateway_operator.folder import read_folder
from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.kubectl import Output
from llm_gateway_testing.repository import ROOT


class Bad(NamedTuple):
    """An object that is refused. `field` and `says` stand in the API server's answer."""

    object: str
    field: str
    says: str
    alone: bool = False
    """Only the API server refuses it: `local` may be given another port."""


def provider(spec: str, name: str = "one") -> str:
    return (
        f"apiVersion: llmgateway.dev/v1alpha1\nkind: LLMProvider\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


def gateway(spec: str, name: str = "one") -> str:
    return (
        f"apiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )


def openai(more: str) -> str:
    return provider(f"{{type: OpenAI, models: [{{name: gpt-4o}}], {more}}}")


def compatible(url: str) -> str:
    return provider(f"{{type: OpenAICompatible, models: [{{name: tiny}}], baseURL: {url}}}")


def mock(more: str) -> str:
    return provider(f"{{type: Mock, models: [{{name: echo}}], {more}}}")


def model(more: str) -> str:
    return provider(f"{{type: Mock, models: [{more}]}}")


def routed(targets: str) -> str:
    return gateway(f"{{routing: {{models: [{{name: chat, targets: [{targets}]}}]}}}}")


def selector(requirement: str) -> str:
    return gateway(f"{{providers: {{selector: {{matchExpressions: [{{key: tier, {requirement}}}]}}}}}}")


GOOD = {
    "the smallest provider": provider("{type: Mock, models: [{name: echo}]}"),
    "the smallest gateway": gateway("{}"),
    "a key": openai("auth: {secretRef: {name: llm-gateway-secrets, key: openai-api-key}}"),
    "a key with its type": openai("auth: {type: APIKey, secretRef: {name: keys, key: a.B_c-1}}"),
    "no key, and said so": openai("auth: {type: None}"),
    "a provider whose key is still to come": openai("timeouts: {}"),
    "a mock that says that it needs no key": mock("auth: {type: None}"),
    "prices as decimal strings": model('{name: a, price: {input: "2.50", cachedInput: "0", output: "10"}}'),
    "a model name with slashes, spaces and letters of its own": model('{name: "org/größe 4 😀"}'),
    "a server on the own machine": compatible("http://127.0.0.1:8000/v1/"),
    "a server by its IPv6 address": compatible("'https://[2001:db8::1]:8443/v1'"),
    "an address that only looks link-local": compatible("https://169.254.example.com/v1"),
    "a path with an at sign": compatible("https://llm.example.com/@team/v1"),
    "a ladder of timeouts": openai("timeouts: {connect: 500ms, headers: 1m30s, total: 1h}"),
    "both kinds of header": openai(
        'headers: [{name: X-A, value: "a b"}, {name: X-B, secretRef: {name: keys, key: b}}]'
    ),
    "a proxy": openai("proxy: {url: http://proxy.corp:3128}"),
    "consent to all": mock("allowedGateways: {namespaces: {from: All}}"),
    "consent by label": mock(
        "allowedGateways: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}"
    ),
    "a mock with a fault": mock("mock: {firstToken: 0s, fault: {kind: Status, status: 429, retryAfter: 2s}}"),
    "a selector and references": gateway(
        "{providers: {selector: {matchLabels: {tier: paid}},"
        " refs: [{name: mock}, {name: shared, from: {namespace: platform, name: openai}}]}}"
    ),
    "an empty selector": gateway("{providers: {selector: {}}}"),
    "every operator": gateway(
        "{providers: {selector: {matchExpressions: [{key: a, operator: In, values: [b]},"
        " {key: a, operator: NotIn, values: [c]}, {key: d, operator: Exists}, {key: e, operator: DoesNotExist}]}}}"
    ),
    "weights, one of them 0": routed(
        "{provider: a, model: m, weight: 80}, {provider: b, model: m, weight: 0}"
    ),
    "a weight of 0 beside none": routed("{provider: a, model: m, weight: 0}, {provider: b, model: m}"),
    "two models of one provider": routed("{provider: a, model: m}, {provider: a, model: other, priority: 1}"),
    "replicas": gateway("{replicas: 3}"),
    "no replicas at all": gateway("{replicas: 0}"),
    "autoscaling": gateway(
        "{autoscaling: {minReplicas: 3, maxReplicas: 20, targetCPUUtilizationPercentage: 70}}"
    ),
    "autoscaling with as many at least as at most": gateway(
        "{autoscaling: {minReplicas: 3, maxReplicas: 3}}"
    ),
    "autoscaling in the words of autoscaling/v2": gateway(
        "{autoscaling: {maxReplicas: 20, metrics: [{type: Resource, resource: {name: cpu, target:"
        " {type: Utilization, averageUtilization: 60}}}], behavior: {scaleDown: {policies: []}}}}"
    ),
    "a service": gateway("{service: {type: LoadBalancer, annotations: {a.example.com/b: internal}}}"),
    "a pod template": gateway(
        "{podTemplate: {metadata: {labels: {a: b}}, spec: {nodeSelector: {a: b}, containers:"
        " [{name: gateway, image: 'registry.example.com/llm-gateway:1.0', resources: {requests: {cpu: 500m}}}]}}}"
    ),
    "a listener": gateway("{listeners: [{name: http, port: 8080}]}"),
    "a drain timeout": gateway("{drainTimeout: 10m}"),
    "no draining": gateway("{drainTimeout: 0s}"),
    "suspended": gateway("{suspend: true}"),
    "the longest name": gateway("{}", name="a" * 63),
}

BAD = {
    "no spec": Bad(gateway("{}").replace("spec: {}\n", ""), "spec", "Required value"),
    "an unknown field": Bad(gateway("{provider: {}}"), "spec.provider", "unknown field"),
    "an unknown type": Bad(provider("{type: OpenIA, models: [{name: a}]}"), "spec.type", '"OpenAI"'),
    "a provider without models": Bad(
        provider("{type: Mock, models: []}"), "spec.models", "should have at least 1 items"
    ),
    "a model named twice": Bad(model("{name: a}, {name: a}"), "spec.models[1]", "Duplicate value"),
    "a pattern for a model": Bad(model("{name: 'gpt-*'}"), "spec.models[0].name", "'*' is not supported"),
    "a line break in a model's name": Bad(
        model('{name: "a\\nb"}'), "spec.models[0].name", "must not hold control characters or line breaks"
    ),
    "a line separator in a model's name": Bad(
        model('{name: "a\\u2028b"}'), "spec.models[0].name", "must not hold control characters"
    ),
    "a price that is a number": Bad(
        model('{name: a, price: {input: 2.50, output: "10"}}'), "spec.models[0].price.input", "must be of type string"
    ),
    "a price in dollars": Bad(
        model('{name: a, price: {input: "$2.50", output: "10"}}'),
        "spec.models[0].price.input",
        'must be dollars per million tokens in quotes, like "2.50"',
    ),
    "a price with an exponent": Bad(
        model('{name: a, price: {input: "1E-7", output: "10"}}'), "spec.models[0].price.input", 'like "2.50"'
    ),
    "a price without its other half": Bad(
        model('{name: a, price: {input: "1"}}'), "spec.models[0].price.output", "Required value"
    ),
    "a key without a type that takes none": Bad(
        openai("auth: {type: None, secretRef: {name: a, key: b}}"),
        "spec.auth",
        "secretRef must be absent with type None",
    ),
    "a type that takes a key without one": Bad(
        openai("auth: {type: APIKey}"), "spec.auth", "secretRef is required (or type: None, for no credential)"
    ),
    "auth that says nothing": Bad(openai("auth: {}"), "spec.auth", "secretRef is required"),
    "a key in the spec": Bad(openai("auth: {apiKey: sk-1}"), "spec.auth.apiKey", "unknown field"),
    "a Secret of another namespace": Bad(
        openai("auth: {secretRef: {name: a, key: b, namespace: c}}"), "spec.auth.secretRef.namespace", "unknown field"
    ),
    "the name of a Secret in capitals": Bad(
        openai("auth: {secretRef: {name: Keys, key: b}}"),
        "spec.auth.secretRef.name",
        "must be a name of at most 63 lower-case letters, digits, '-' and '.'",
    ),
    "a key with a slash": Bad(
        openai("auth: {secretRef: {name: keys, key: a/b}}"),
        "spec.auth.secretRef.key",
        "must be a key of a Secret: letters, digits, '-', '_' and '.'",
    ),
    "a mock with a key": Bad(
        mock("auth: {secretRef: {name: a, key: b}}"), "spec", "auth must be absent with type Mock"
    ),
    "a mock with an address": Bad(
        mock("baseURL: http://a.example.com"), "spec", "baseURL must be absent with type Mock, which calls nobody"
    ),
    "mock options on another type": Bad(openai("mock: {}"), "spec", "mock must be absent: it is for type Mock"),
    "a status with another fault": Bad(
        mock("mock: {fault: {kind: Cut, status: 500}}"),
        "spec.mock.fault",
        "status must be absent unless kind is Status",
    ),
    "a Retry-After with another fault": Bad(
        mock("mock: {fault: {kind: Cut, retryAfter: 1s}}"),
        "spec.mock.fault",
        "retryAfter must be absent unless kind is Status",
    ),
    "a status that is no fault": Bad(
        mock("mock: {fault: {kind: Status, status: 200}}"), "spec.mock.fault.status", "greater than or equal to 400"
    ),
    "a server without an address": Bad(
        provider("{type: OpenAICompatible, models: [{name: a}]}"),
        "spec",
        "baseURL is required with type OpenAICompatible, like http://127.0.0.1:8000/v1",
    ),
    "an address without a scheme": Bad(
        compatible("api.example.com/v1"), "spec.baseURL", "it must begin with http:// or https://"
    ),
    "an address with another scheme": Bad(
        compatible("ftp://api.example.com"), "spec.baseURL", "it must begin with http:// or https://"
    ),
    "an address without a host": Bad(compatible("https:///v1"), "spec.baseURL", "its host or port cannot be read"),
    "an address with a bad port": Bad(
        compatible("https://api.example.com:http/v1"), "spec.baseURL", "its host or port cannot be read"
    ),
    "an address with a password": Bad(
        compatible("https://me:secret@api.example.com/v1"), "spec.baseURL", "must not hold a user name or password"
    ),
    "an address with a query": Bad(
        compatible("'https://api.example.com/v1?key=a'"), "spec.baseURL", "must not have a query or a fragment"
    ),
    "an address with a fragment": Bad(
        compatible("'https://api.example.com/v1#a'"), "spec.baseURL", "must not have a query or a fragment"
    ),
    "an address with a space": Bad(
        compatible("'https://api.example.com/v 1'"), "spec.baseURL", "must be printable ASCII without spaces"
    ),
    "the metadata service of a cloud": Bad(
        compatible("http://169.254.169.254/latest"), "spec.baseURL", "must not be a link-local address"
    ),
    "the same with a port": Bad(
        compatible("http://169.254.169.254:80/latest"), "spec.baseURL", "must not be a link-local address"
    ),
    "a link-local address of IPv6": Bad(
        compatible("'http://[FE80::1]/v1'"), "spec.baseURL", "must not be a link-local address"
    ),
    "a link-local address of IPv4 in IPv6": Bad(
        compatible("'http://[::ffff:169.254.169.254]/v1'"), "spec.baseURL", "must not be a link-local address"
    ),
    "a very long address": Bad(
        compatible("https://api.example.com/" + "a" * 2048), "spec.baseURL", "may not be more than 2048"
    ),
    "a duration without a unit": Bad(
        openai('timeouts: {connect: "5"}'), "spec.timeouts.connect", "must be a duration like 30s or 1m30s"
    ),
    "a duration that is a number": Bad(
        openai("timeouts: {connect: 5}"), "spec.timeouts.connect", "must be of type string"
    ),
    "a duration in days": Bad(openai("timeouts: {total: 1d}"), "spec.timeouts.total", "must be a duration like"),
    "a timeout of nothing": Bad(openai("timeouts: {idle: 0s}"), "spec.timeouts.idle", "must be 1ms or more"),
    "a header with a value and a reference": Bad(
        openai("headers: [{name: X-A, value: a, secretRef: {name: a, key: b}}]"),
        "spec.headers[0]",
        "must have either value or secretRef",
    ),
    "a header with neither": Bad(
        openai("headers: [{name: X-A}]"), "spec.headers[0]", "must have either value or secretRef"
    ),
    "a header of HTTP's own": Bad(
        openai("headers: [{name: Host, value: a}]"),
        "spec.headers[0].name",
        "must not be a header that the gateway itself sets",
    ),
    "a header with a space in its name": Bad(
        openai("headers: [{name: X A, value: a}]"), "spec.headers[0].name", "must be the name of an HTTP header"
    ),
    "a header with a line break in its value": Bad(
        openai('headers: [{name: X-A, value: "a\\r\\nX-B: b"}]'),
        "spec.headers[0].value",
        "must be printable ASCII without line breaks or outer spaces",
    ),
    "a header twice in two cases": Bad(
        openai("headers: [{name: X-A, value: a}, {name: x-a, value: b}]"),
        "spec",
        "headers must not name one header twice: their case means nothing",
    ),
    "a proxy without a port": Bad(
        openai("proxy: {url: http://proxy.corp}"), "spec.proxy.url", "must be a URL like http://proxy.example.com:3128"
    ),
    "a proxy with a password": Bad(
        openai("proxy: {url: 'http://a:b@proxy.corp:3128'}"), "spec.proxy.url", "no user name or password"
    ),
    "consent by label without labels": Bad(
        mock("allowedGateways: {namespaces: {from: Selector}}"),
        "spec.allowedGateways.namespaces",
        "selector is required with from Selector",
    ),
    "labels that consent does not ask for": Bad(
        mock("allowedGateways: {namespaces: {from: All, selector: {}}}"),
        "spec.allowedGateways.namespaces",
        "must be absent otherwise",
    ),
    "a provider with too long a name": Bad(
        provider("{type: Mock, models: [{name: a}]}", name="a" * 64), "metadata.name", "at most 63 characters"
    ),
    "a gateway named like a host": Bad(gateway("{}", name="a.b"), "metadata.name", "it becomes the name of a Service"),
    "a gateway whose name begins with a digit": Bad(
        gateway("{}", name="1a"), "metadata.name", "beginning with a letter"
    ),
    "providers that say nothing": Bad(gateway("{providers: {}}"), "spec.providers", "must have selector or refs"),
    "a provider named twice": Bad(
        gateway("{providers: {refs: [{name: a}, {name: a}]}}"), "spec.providers.refs[1]", "Duplicate value"
    ),
    "a reference to half a provider": Bad(
        gateway("{providers: {refs: [{name: a, from: {namespace: b}}]}}"),
        "spec.providers.refs[0].from.name",
        "Required value",
    ),
    "In without values": Bad(
        selector("operator: In"),
        "spec.providers.selector.matchExpressions[0]",
        "values is required with operator In or NotIn",
    ),
    "Exists with values": Bad(
        selector("operator: Exists, values: [a]"),
        "spec.providers.selector.matchExpressions[0]",
        "values must be absent with operator Exists or DoesNotExist",
    ),
    "an operator that is none": Bad(
        selector("operator: Gt, values: ['1']"), "matchExpressions[0].operator", '"DoesNotExist"'
    ),
    "a strategy that is none": Bad(gateway("{routing: {strategy: Random}}"), "spec.routing.strategy", '"ModelBased"'),
    "a model without targets": Bad(routed(""), "spec.routing.models[0].targets", "at least 1 items"),
    "a target named twice": Bad(
        routed("{provider: a, model: m}, {provider: a, model: m, weight: 1}"),
        "spec.routing.models[0].targets[1]",
        "Duplicate value",
    ),
    "a target without a model": Bad(
        routed("{provider: a}"), "spec.routing.models[0].targets[0].model", "Required value"
    ),
    "a target of no possible provider": Bad(
        routed("{provider: Open AI, model: m}"),
        "spec.routing.models[0].targets[0].provider",
        "must be a name of at most 63 lower-case letters",
    ),
    "too many targets": Bad(
        routed(", ".join(f"{{provider: a, model: m{n}}}" for n in range(17))),
        "spec.routing.models[0].targets",
        "must have at most 16 items",
    ),
    "a negative weight": Bad(
        routed("{provider: a, model: m, weight: -1}"),
        "spec.routing.models[0].targets[0].weight",
        "greater than or equal to 0",
    ),
    "a weight that is no whole number": Bad(
        routed("{provider: a, model: m, weight: 0.5}"),
        "spec.routing.models[0].targets[0].weight",
        "must be of type integer",
    ),
    "no weight but 0": Bad(
        routed("{provider: a, model: m, weight: 0}, {provider: b, model: m, weight: 0}"),
        "spec.routing.models[0]",
        "targets must not all have weight 0",
    ),
    "two listeners": Bad(
        gateway("{listeners: [{name: a, port: 80}, {name: b, port: 81}]}"),
        "spec.listeners",
        "must have at most 1 item",
    ),
    "a listener on the port of the metrics": Bad(
        gateway("{listeners: [{name: a, port: 9090}]}"), "spec.listeners[0]", "port must not be 9090", alone=True
    ),
    "a port that is none": Bad(
        gateway("{listeners: [{name: a, port: 65536}]}"), "spec.listeners[0].port", "less than or equal to 65535"
    ),
    "a drain timeout without a unit": Bad(
        gateway('{drainTimeout: "30"}'), "spec.drainTimeout", "must be a duration like 30s or 1m30s"
    ),
    "replicas and autoscaling": Bad(
        gateway("{replicas: 3, autoscaling: {maxReplicas: 3}}"),
        "spec",
        "replicas must be absent with autoscaling",
    ),
    "negative replicas": Bad(gateway("{replicas: -1}"), "spec.replicas", "greater than or equal to 0"),
    "more at least than at most": Bad(
        gateway("{autoscaling: {minReplicas: 5, maxReplicas: 3}}"),
        "spec.autoscaling",
        "minReplicas must not be more than maxReplicas",
    ),
    "autoscaling without a bound": Bad(
        gateway("{autoscaling: {minReplicas: 5}}"), "spec.autoscaling.maxReplicas", "Required value"
    ),
    "autoscaling to nothing": Bad(
        gateway("{autoscaling: {minReplicas: 0, maxReplicas: 3}}"),
        "spec.autoscaling.minReplicas",
        "greater than or equal to 1",
    ),
    "a target of CPU beside metrics": Bad(
        gateway("{autoscaling: {maxReplicas: 3, targetCPUUtilizationPercentage: 70, metrics: [{type: Pods}]}}"),
        "spec.autoscaling",
        "targetCPUUtilizationPercentage must be absent with metrics",
    ),
    "a type of Service that is none": Bad(
        gateway("{service: {type: ExternalName}}"), "spec.service.type", '"LoadBalancer"'
    ),
    "a container without a name": Bad(
        gateway("{podTemplate: {spec: {containers: [{image: a}]}}}"),
        "spec.podTemplate.spec.containers[0].name",
        "Required value",
    ),
    "a container twice": Bad(
        gateway("{podTemplate: {spec: {containers: [{name: a}, {name: a}]}}}"),
        "spec.podTemplate.spec.containers[1]",
        "Duplicate value",
    ),
    "a field beside the pod template's": Bad(
        gateway("{podTemplate: {containers: []}}"), "spec.podTemplate.containers", "unknown field"
    ),
    "suspend as text": Bad(gateway('{suspend: "true"}'), "spec.suspend", "must be of type boolean"),
}  # fmt: skip

UPDATES = {
    "autoscaling in place of replicas": (
        gateway("{replicas: 3}"), gateway("{autoscaling: {maxReplicas: 5}}"), None
    ),
    "autoscaling beside replicas": (
        gateway("{replicas: 3}"), gateway("{replicas: 3, autoscaling: {maxReplicas: 5}}"), "replicas must be absent"
    ),
    "a bound below what is there": (
        gateway("{autoscaling: {minReplicas: 3, maxReplicas: 5}}"),
        gateway("{autoscaling: {minReplicas: 3, maxReplicas: 2}}"),
        "minReplicas must not be more than maxReplicas",
    ),
    "another type with what belongs to the old one": (
        mock("mock: {answerTokens: 3}"), openai("mock: {answerTokens: 3}"), "mock must be absent"
    ),
    "another type": (
        mock("mock: {answerTokens: 3}"), openai("auth: {secretRef: {name: a, key: b}}"), None
    ),
    "the last weight taken away": (
        routed("{provider: a, model: m, weight: 1}, {provider: b, model: m, weight: 0}"),
        routed("{provider: a, model: m, weight: 0}, {provider: b, model: m, weight: 0}"),
        "targets must not all have weight 0",
    ),
    "a key in place of none": (
        openai("auth: {type: None}"), openai("auth: {secretRef: {name: a, key: b}}"), None
    ),
    "the address of a metadata service": (
        compatible("http://127.0.0.1:8000"), compatible("http://169.254.169.254"), "link-local"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(parts=("apiserver",), crds=(ROOT / "crds",)) as running:
        yield running


NUMBERS = count(1)


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    name = f"test-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", name).text()
    return name


def created(cluster: ControlPlane, text: str) -> Output:
    return cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=text)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_api_server_takes(cluster: ControlPlane, text: str) -> None:
    created(cluster, text).text()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_the_api_server_refuses(cluster: ControlPlane, bad: Bad) -> None:
    refused = created(cluster, bad.object)
    assert not refused.ok
    assert bad.field in refused.stderr
    assert bad.says in refused.stderr


@pytest.mark.parametrize(("before", "after", "says"), UPDATES.values(), ids=UPDATES)
def test_an_update(cluster: ControlPlane, namespace: str, before: str, after: str, says: str | None) -> None:
    def replaced(text: str) -> Output:
        return cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=text)

    replaced(before).text()
    output = replaced(after)
    assert output.ok == (says is None), output.failure
    assert (says or "") in output.stderr


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_folder_takes_the_same(text: str, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(text, encoding="utf-8")
    assert read_folder(tmp_path).problems == ()


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_folder_refuses_the_same(bad: Bad, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(bad.object, encoding="utf-8")
    assert bool(read_folder(tmp_path).problems) != bad.alone
