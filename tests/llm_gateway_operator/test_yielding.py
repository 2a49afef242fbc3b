"""Which defaults give way to others, and what is left of the object that is applied."""

from typing import Any

import pytest

from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.defaults import Default, path_text, settle
from llm_gateway_operator.yielding import HANDOVER, MANAGER, RECLAIM, REPLICAS, owned_by_us_alone, yielded

TREE = {
    "spec": {
        "replicas": Default(2),
        "paused": False,
        "containers": [
            {"name": "gateway", "image": Default("ours"), "env": [{"name": "A", "value": Default("1")}]},
            {"name": "sidecar", "image": Default("theirs")},
        ],
    }
}
REPLICAS_FIELD = {"f:spec": {"f:replicas": {}}}
CONTAINER = 'k:{"name":"gateway"}'


def in_gateway(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:spec": {"f:containers": {CONTAINER: fields}}}


def live(
    *managed: tuple[str, dict[str, Any]], annotations: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    entries = [
        {"manager": manager, "operation": "Update", "fieldsV1": fields, **more} for manager, fields in managed
    ]
    return {"metadata": {"managedFields": entries, "annotations": annotations or {}}}


ENV = in_gateway({"f:env": {'k:{"name":"A"}': {".": {}, "f:value": {}}}})

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nobody else has set anything": (live((MANAGER, REPLICAS_FIELD)), []),
    "an object without managed fields": ({"metadata": {}}, []),
    "kubectl scale": (live((MANAGER, {}), ("kubectl", REPLICAS_FIELD)), ["spec.replicas"]),
    "our own handover": (live((HANDOVER, REPLICAS_FIELD)), []),
    "what the resource says is no default": (live(("kubectl", {"f:spec": {"f:paused": {}}})), []),
    "kubectl set image of one container": (
        live(("kubectl-set", in_gateway({"f:image": {}}))), ["spec.containers[gateway].image"]
    ),
    "kubectl set env": (live(("kubectl-set", ENV)), ["spec.containers[gateway].env[A].value"]),
    "an entry of which another owns the key alone": (
        live(("kubectl-set", in_gateway({".": {}, "f:name": {}}))), []
    ),
    "a value that is reclaimed": (
        live(("kubectl", REPLICAS_FIELD), annotations={RECLAIM: "spec.paused, spec.replicas"}), []
    ),
    "another value than the reclaimed one": (
        live(("kubectl", REPLICAS_FIELD), annotations={RECLAIM: "spec"}), ["spec.replicas"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "dropped"), CASES.values(), ids=CASES.keys())
def test_a_default_gives_way_to(found: dict[str, Any], dropped: list[str]) -> None:
    obj, paths = settle(TREE)
    child = Child(obj, paths)
    applied, gone = yielded(child, found)
    assert [path_text(path) for path in gone] == dropped
    _, rest = settle(TREE)
    assert (applied == child.object) is (not dropped)
    assert child.object == settle(TREE)[0]
    assert len(rest) == 4


def test_the_entry_of_a_value_that_gave_way_stays_with_its_key() -> None:
    applied, _ = yielded(Child(*settle(TREE)), live(("kubectl-set", ENV)))
    assert applied["spec"]["containers"][0] == {"name": "gateway", "image": "ours", "env": [{"name": "A"}]}
    assert applied["spec"]["containers"][1] == {"name": "sidecar", "image": "theirs"}


OWNERS: dict[str, tuple[dict[str, Any], bool]] = {
    "we alone": (live((MANAGER, REPLICAS_FIELD)), True),
    "we and another": (live((MANAGER, REPLICAS_FIELD), ("kubectl", REPLICAS_FIELD)), False),
    "we and our handover": (live((MANAGER, REPLICAS_FIELD), (HANDOVER, REPLICAS_FIELD)), False),
    "another": (live(("kubectl", REPLICAS_FIELD)), False),
    "nobody": (live((MANAGER, {})), False),
}


@pytest.mark.parametrize(("found", "ours"), OWNERS.values(), ids=OWNERS.keys())
def test_the_number_of_pods_belongs_to(found: dict[str, Any], ours: bool) -> None:
    assert owned_by_us_alone(found, REPLICAS) is ours
