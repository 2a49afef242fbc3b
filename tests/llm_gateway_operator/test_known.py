import base64
import hashlib
from typing import Any

import pytest

from llm_gateway_operator.known import Change, Known, known
from llm_gateway_operator.kube.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY,
    NAMESPACE,
    POD,
    SECRET,
    Json,
    Kind,
)
from llm_gateway_operator.objects import Key

MARK = "planted-secret-value"
ENCODED = base64.b64encode(MARK.encode()).decode()
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def obj(kind: Kind, **more: Any) -> Json:
    metadata = {
        "namespace": "n",
        "name": "x",
        "uid": "u1",
        "resourceVersion": "5",
        **more.pop("metadata", {}),
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **more}


def secret() -> Json:
    annotations = {LAST_APPLIED: ENCODED, "llmgateway.dev/allowed-hosts": "a.example"}
    return obj(SECRET, type="Opaque", data={"k": ENCODED}, metadata={"annotations": annotations})


def test_of_a_secret_only_hashes_are_kept() -> None:
    it = known(SECRET, secret())
    assert it.hashes == {"k": hashlib.sha256(MARK.encode()).hexdigest()}
    assert it.secret_type == "Opaque"
    assert it.annotations == {"llmgateway.dev/allowed-hosts": "a.example"}
    everything = f"{it.obj} {it.fingerprint} {it.hashes}"
    assert MARK not in everything
    assert ENCODED not in everything


def test_nothing_of_an_object_is_in_its_repr() -> None:
    assert "hashes" not in repr(known(SECRET, secret()))
    assert "obj" not in repr(known(GATEWAY, obj(GATEWAY, spec={"a": 1})))


def test_the_watchs_object_is_left_as_it_was() -> None:
    before, given = secret(), secret()
    known(SECRET, given)
    assert given == before


KEPT = {
    "data of a config map is dropped": (
        obj(CONFIG_MAP, data={"a": "1"}, binaryData={"b": "2"}),
        {"data", "binaryData"},
    ),
    "the spec of a pod is dropped": (obj(POD, spec={"containers": []}, status={}), {"spec"}),
    "a gateway is kept": (obj(GATEWAY, spec={"a": 1}, status={"b": 2}), set()),
}


@pytest.mark.parametrize(("given", "dropped"), KEPT.values(), ids=KEPT.keys())
def test_what_nobody_reads(given: Json, dropped: set[str]) -> None:
    kind = next(each for each in (CONFIG_MAP, POD, GATEWAY) if each.kind == given["kind"])
    assert set(given) - set(known(kind, given).obj) == dropped


def test_only_a_deployment_keeps_who_set_what() -> None:
    fields = {"managedFields": [{"manager": "kubectl"}]}
    assert "managedFields" in known(DEPLOYMENT, obj(DEPLOYMENT, metadata=fields)).obj["metadata"]
    assert "managedFields" not in known(AUTOSCALER, obj(AUTOSCALER, metadata=fields)).obj["metadata"]


def test_a_namespace_has_a_key_without_a_namespace() -> None:
    given = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "u"}}
    assert known(NAMESPACE, given).key == Key("", "n")


BASE = obj(GATEWAY, spec={"a": 1}, metadata={"generation": 1})
SAME, OTHER = True, False
FINGERPRINTS = {
    "a new resourceVersion": (obj(GATEWAY, spec={"a": 1}, metadata={"resourceVersion": "6"}), SAME),
    "a new generation": (obj(GATEWAY, spec={"a": 1}, metadata={"generation": 2}), SAME),
    "a status": (obj(GATEWAY, spec={"a": 1}, status={"b": 1}), SAME),
    "who set what": (obj(GATEWAY, spec={"a": 1}, metadata={"managedFields": [1]}), SAME),
    "what kubectl applied last": (
        obj(GATEWAY, spec={"a": 1}, metadata={"annotations": {LAST_APPLIED: "x"}}),
        SAME,
    ),
    "the spec": (obj(GATEWAY, spec={"a": 2}), OTHER),
    "a label": (obj(GATEWAY, spec={"a": 1}, metadata={"labels": {"l": "1"}}), OTHER),
    "an annotation": (obj(GATEWAY, spec={"a": 1}, metadata={"annotations": {"a": "1"}}), OTHER),
    "another object of that name": (obj(GATEWAY, spec={"a": 1}, metadata={"uid": "u2"}), OTHER),
    "its deletion has begun": (obj(GATEWAY, spec={"a": 1}, metadata={"deletionTimestamp": "t"}), OTHER),
}


@pytest.mark.parametrize(("changed", "same"), FINGERPRINTS.values(), ids=FINGERPRINTS.keys())
def test_the_fingerprint_after(changed: Json, same: bool) -> None:
    assert (known(GATEWAY, changed).fingerprint == known(GATEWAY, BASE).fingerprint) is same


def test_a_change_of_data_that_is_not_kept_is_in_the_fingerprint() -> None:
    one, two = (known(CONFIG_MAP, obj(CONFIG_MAP, data={"a": value})) for value in ("1", "2"))
    assert one.obj == two.obj
    assert one.fingerprint != two.fingerprint


def change(kind: Kind, old: Json | None, new: Json | None) -> Change:
    def state(given: Json | None) -> Known | None:
        return None if given is None else known(kind, given)

    return Change(kind, Key("n", "x"), state(old), state(new))


def test_our_own_status_does_not_matter_and_that_of_a_deployment_does() -> None:
    for kind, matters in ((GATEWAY, False), (AUTOSCALER, False), (DEPLOYMENT, True), (POD, True)):
        old, new = obj(kind, status={"a": 1}), obj(kind, status={"a": 2})
        assert change(kind, old, new).matters is matters, kind
        assert not change(kind, old, old).matters


def test_to_come_and_to_go_matters() -> None:
    assert change(GATEWAY, None, obj(GATEWAY)).matters
    assert change(GATEWAY, obj(GATEWAY), None).matters
    assert len(list(change(GATEWAY, obj(GATEWAY), obj(GATEWAY)).states)) == 2
