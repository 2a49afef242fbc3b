from typing import Any

import pytest

from llm_gateway_operator.known import known
from llm_gateway_operator.kube.kinds import GATEWAY, PROVIDER, Kind
from llm_gateway_operator.mentions import Mentions, mentions
from llm_gateway_operator.objects import Key


def of(kind: Kind, spec: Any) -> Mentions:
    metadata = {"namespace": "n", "name": "x", "uid": "u"}
    return mentions(
        known(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec})
    )


def provider(name: str = "p", namespace: str = "n", **labels: str) -> Any:
    metadata = {"namespace": namespace, "name": name, "uid": "u", "labels": labels}
    return known(PROVIDER, {"apiVersion": "x", "kind": "LLMProvider", "metadata": metadata})


SECRETS = {
    "none": ({"type": "Mock"}, set()),
    "a credential": ({"auth": {"secretRef": {"name": "s", "key": "k"}}}, {"s"}),
    "a header": ({"headers": [{"name": "a", "secretRef": {"name": "h", "key": "k"}}]}, {"h"}),
    "a list of references": (
        {"auth": {"apiKeys": {"secretRefs": [{"name": "a"}, {"name": "b"}]}}},
        {"a", "b"},
    ),
    "a certificate": ({"ingress": {"tls": {"secretRef": {"name": "t"}}}}, {"t"}),
    "pods' own": (
        {"podTemplate": {"spec": {"containers": [{"envFrom": [{"secretRef": {"name": "e"}}]}]}}},
        set(),
    ),
    "what is no reference": (
        {"auth": {"secretRef": "s"}, "b": {"secretRef": {"name": 5}}, "secretRefs": 7},
        set(),
    ),
}


@pytest.mark.parametrize("kind", [GATEWAY, PROVIDER], ids=str)
@pytest.mark.parametrize(("spec", "names"), SECRETS.values(), ids=SECRETS.keys())
def test_the_secrets_named_by(kind: Kind, spec: Any, names: set[str]) -> None:
    assert of(kind, spec).secrets == {Key("n", name) for name in names}


REF = {"refs": [{"name": "p"}]}
SELECTED = {
    "absent providers select all": ({}, provider(), True),
    "an empty selector selects all": ({"providers": {"selector": {}}}, provider(), True),
    "an empty providers selects none": ({"providers": {}}, provider(), False),
    "a label": ({"providers": {"selector": {"matchLabels": {"t": "a"}}}}, provider(t="a"), True),
    "another label": ({"providers": {"selector": {"matchLabels": {"t": "a"}}}}, provider(t="b"), False),
    "an expression": (
        {
            "providers": {
                "selector": {"matchExpressions": [{"key": "t", "operator": "NotIn", "values": ["a"]}]}
            }
        },
        provider(),
        True,
    ),
    "an operator that this version does not know": (
        {"providers": {"selector": {"matchExpressions": [{"key": "t", "operator": "Near"}]}}},
        provider(),
        True,
    ),
    "a name": ({"providers": REF}, provider(), True),
    "another name": ({"providers": REF}, provider("q"), False),
    "a name or a label": (
        {"providers": {**REF, "selector": {"matchLabels": {"t": "a"}}}},
        provider("q", t="a"),
        True,
    ),
    "a name elsewhere": (
        {"providers": {"refs": [{"name": "alias", "from": {"namespace": "m", "name": "p"}}]}},
        provider("p", "m"),
        True,
    ),
    "the alias is no name here": (
        {"providers": {"refs": [{"name": "p", "from": {"namespace": "m", "name": "q"}}]}},
        provider(),
        False,
    ),
    "a name of here does not reach elsewhere": ({"providers": REF}, provider("p", "m"), False),
    "a target alone": (
        {"providers": {}, "routing": {"models": [{"targets": [{"provider": "p"}]}]}},
        provider(),
        False,
    ),
}


@pytest.mark.parametrize(("spec", "candidate", "selected"), SELECTED.values(), ids=SELECTED.keys())
def test_what_a_gateway_may_serve(spec: Any, candidate: Any, selected: bool) -> None:
    assert of(GATEWAY, spec).selects(candidate) is selected


def test_targets_are_known_by_name() -> None:
    routing = {"models": [{"name": "m", "targets": [{"provider": "p", "model": "x"}, {"provider": "q"}]}]}
    assert of(GATEWAY, {"routing": routing}).targets == {Key("n", "p"), Key("n", "q")}


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        "x",
        {"providers": 5},
        {"providers": {"refs": [5, {"name": 5}, {"from": 5}]}},
        {"routing": [1]},
    ],
    ids=str,
)
def test_nothing_is_too_odd_to_be_read(spec: Any) -> None:
    it = of(GATEWAY, spec)
    assert (it.refs, it.targets, it.remote) == (frozenset(), frozenset(), frozenset())
