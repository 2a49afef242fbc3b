import base64
import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway_operator.known import Change
from llm_gateway_operator.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY,
    NAMESPACE,
    POD,
    PROVIDER,
    SECRET,
    Json,
    Kind,
)
from llm_gateway_operator.objects import Key
from llm_gateway_operator.store import Affected, Store


class Cluster:
    """Makes objects as the API server numbers them."""

    def __init__(self) -> None:
        self.version = 0
        self.uids = 0

    def new(self, kind: Kind, name: str, namespace: str = "n", **more: Any) -> Json:
        self.uids += 1
        metadata = {"name": name, "uid": f"u{self.uids}", **more.pop("metadata", {})}
        if kind.namespaced:
            metadata["namespace"] = namespace
        return self.touched({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **more})

    def touched(self, obj: Json, **more: Any) -> Json:
        self.version += 1
        metadata = {**obj["metadata"], **more.pop("metadata", {}), "resourceVersion": str(self.version)}
        return {**obj, **more, "metadata": metadata}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def store() -> Store:
    return Store((GATEWAY, PROVIDER, SECRET))


def put(store: Store, kind: Kind, obj: Json, event_type: str | None = None) -> Change:
    change = store.put(kind, event_type, obj)
    assert change is not None
    return change


def labels(**values: str) -> dict[str, Any]:
    return {"metadata": {"labels": values}}


def selecting(**values: str) -> dict[str, Any]:
    return {"spec": {"providers": {"selector": {"matchLabels": values}}}}


def keyed(secret: str) -> dict[str, Any]:
    return {"spec": {"auth": {"secretRef": {"name": secret, "key": "k"}}}}


def keys(*names: str, namespace: str = "n") -> frozenset[Key]:
    return frozenset(Key(namespace, name) for name in names)


# --- seeding


def test_it_is_seeded_when_every_kind_was_listed_also_an_empty_one(store: Store) -> None:
    assert not store.seeded
    for kind in (GATEWAY, PROVIDER):
        store.listed(kind)
    assert (store.seeded, store.unlisted) == (False, {SECRET})
    store.listed(SECRET)
    assert (store.seeded, store.unlisted) == (True, frozenset())


def test_objects_that_a_watch_told_do_not_seed(store: Store, cluster: Cluster) -> None:
    for kind in (GATEWAY, PROVIDER, SECRET):
        put(store, kind, cluster.new(kind, "x"))
    assert not store.seeded


# --- feeding


def test_the_newer_state_wins_whatever_came_first(store: Store, cluster: Cluster) -> None:
    old = cluster.new(GATEWAY, "g", spec={"a": 1})
    new = cluster.touched(old, spec={"a": 2})
    change = put(store, GATEWAY, new, "MODIFIED")
    assert change.old is None
    assert store.put(GATEWAY, None, old) is None
    assert store.put(GATEWAY, None, new) is None
    found = store.get(GATEWAY, Key("n", "g"))
    assert found is not None
    assert found.spec == {"a": 2}


def test_versions_are_numbers_and_not_text(store: Store, cluster: Cluster) -> None:
    cluster.version = 8
    nine = cluster.new(GATEWAY, "g", spec={"a": 9})
    ten = cluster.touched(nine, spec={"a": 10})
    put(store, GATEWAY, nine)
    assert put(store, GATEWAY, ten).new is not None
    assert store.put(GATEWAY, None, nine) is None


def test_a_list_older_than_a_deletion_brings_nothing_back(store: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p")
    put(store, PROVIDER, obj)
    gone = put(store, PROVIDER, cluster.touched(obj), "DELETED")
    assert gone.old is not None
    assert gone.new is None
    assert store.put(PROVIDER, None, obj) is None
    assert store.get(PROVIDER, Key("n", "p")) is None


def test_a_deletion_of_what_was_never_seen_is_remembered_too(store: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p")
    assert store.put(PROVIDER, "DELETED", cluster.touched(obj)) is None
    assert store.put(PROVIDER, None, obj) is None


def test_what_went_out_of_sight_may_come_back_as_a_newer_state(store: Store, cluster: Cluster) -> None:
    """A label was taken away and put back: the same uid."""
    obj = cluster.new(DEPLOYMENT, "d")
    put(store, DEPLOYMENT, obj)
    put(store, DEPLOYMENT, cluster.touched(obj), "DELETED")
    assert put(store, DEPLOYMENT, cluster.touched(obj), "ADDED").new is not None


def test_the_deletion_of_a_predecessor_leaves_the_successor(store: Store, cluster: Cluster) -> None:
    """kopf tells the events of two objects in any order, also when they had one name."""
    first = cluster.new(SECRET, "s", data={})
    deleted = cluster.touched(first)
    second = cluster.new(SECRET, "s", data={})
    put(store, SECRET, first)
    change = put(store, SECRET, second, "ADDED")
    assert (change.old and change.old.uid, change.new and change.new.uid) == ("u1", "u2")
    assert store.put(SECRET, "DELETED", deleted) is None
    assert store.put(SECRET, "MODIFIED", first) is None
    found = store.get(SECRET, Key("n", "s"))
    assert found is not None
    assert found.uid == "u2"


def test_what_a_get_found_absent_is_gone_for_ever(store: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p")
    known = put(store, PROVIDER, obj).new
    assert known is not None
    newer = put(store, PROVIDER, cluster.touched(obj, spec={"a": 1}), "MODIFIED").new
    change = store.gone(known)
    assert change is not None
    assert (change.old, change.new) == (newer, None)
    assert store.gone(known) is None
    assert store.put(PROVIDER, "MODIFIED", cluster.touched(obj)) is None


def test_a_successor_is_not_gone_with_its_predecessor(store: Store, cluster: Cluster) -> None:
    known = put(store, PROVIDER, cluster.new(PROVIDER, "p")).new
    put(store, PROVIDER, cluster.new(PROVIDER, "p"))
    assert known is not None
    assert store.gone(known) is None
    assert store.get(PROVIDER, Key("n", "p")) is not None


# --- asking


def test_all_gateways_in_order(store: Store, cluster: Cluster) -> None:
    for namespace, name in (("b", "x"), ("a", "y"), ("a", "x")):
        put(store, GATEWAY, cluster.new(GATEWAY, name, namespace))
    assert [str(each.key) for each in store.gateways()] == ["a/x", "a/y", "b/x"]


def test_the_hashes_of_a_secret(store: Store, cluster: Cluster) -> None:
    put(store, SECRET, cluster.new(SECRET, "s", data={"k": base64.b64encode(b"v").decode()}))
    assert store.secret_hashes(Key("n", "s")) == {"k": hashlib.sha256(b"v").hexdigest()}
    assert store.secret_hashes(Key("n", "t")) is None


def test_the_view_of_a_gateway(store: Store, cluster: Cluster) -> None:
    put(store, PROVIDER, cluster.new(PROVIDER, "paid", **{**labels(tier="paid"), **keyed("s1")}))
    put(store, PROVIDER, cluster.new(PROVIDER, "free", **{**labels(tier="free"), **keyed("s2")}))
    put(store, PROVIDER, cluster.new(PROVIDER, "named", **keyed("s3")))
    put(store, PROVIDER, cluster.new(PROVIDER, "far", "m", **keyed("s4")))
    put(store, PROVIDER, cluster.new(PROVIDER, "paid", "m", **labels(tier="paid")))
    for name, namespace in (("s1", "n"), ("s2", "n"), ("s4", "m"), ("s4", "n")):
        put(store, SECRET, cluster.new(SECRET, name, namespace, data={}))
    put(store, NAMESPACE, cluster.new(NAMESPACE, "n", **labels(team="a")))
    refs = [{"name": "named"}, {"name": "absent"}, {"name": "x", "from": {"namespace": "m", "name": "far"}}]
    spec = {"providers": {"selector": {"matchLabels": {"tier": "paid"}}, "refs": refs}}
    gateway = put(store, GATEWAY, cluster.new(GATEWAY, "g", spec=spec)).new
    assert gateway is not None
    view = store.view(Key("n", "g"))
    assert view is not None
    assert view.gateway == gateway
    assert [str(key) for key in view.providers] == ["m/far", "n/named", "n/paid"]
    assert view.missing_providers == keys("absent")
    assert [str(key) for key in view.secrets] == ["m/s4", "n/s1"]
    assert view.missing_secrets == keys("s3")
    assert view.namespace_labels == {"team": "a"}
    assert (view.children, view.pods) == ((), ())


def test_a_gateway_without_selection_has_all_of_its_namespace(store: Store, cluster: Cluster) -> None:
    put(store, GATEWAY, cluster.new(GATEWAY, "g", spec={}))
    for name, namespace in (("a", "n"), ("b", "n"), ("c", "m")):
        put(store, PROVIDER, cluster.new(PROVIDER, name, namespace))
    view = store.view(Key("n", "g"))
    assert view is not None
    assert view.providers.keys() == keys("a", "b")
    assert view.namespace_labels is None
    assert store.gateways_of(Key("n", "a")) == keys("g")
    assert store.gateways_of(Key("m", "c")) == frozenset()
    assert store.gateways_of(Key("n", "absent")) == frozenset()


def test_a_gateway_that_is_not_known_has_no_view(store: Store) -> None:
    assert store.view(Key("n", "g")) is None


def owned(gateway: Json) -> dict[str, Any]:
    owner = {
        "apiVersion": gateway["apiVersion"],
        "kind": "LLMGateway",
        "name": gateway["metadata"]["name"],
        "uid": gateway["metadata"]["uid"],
        "controller": True,
    }
    return {"metadata": {"ownerReferences": [owner], "labels": {"llmgateway.dev/gateway": "g"}}}


def test_children_are_those_of_this_very_gateway(store: Store, cluster: Cluster) -> None:
    gateway, predecessor = cluster.new(GATEWAY, "g", spec={}), cluster.new(GATEWAY, "g", spec={})
    put(store, GATEWAY, gateway)
    mine = cluster.new(DEPLOYMENT, "g", **owned(gateway))
    put(store, DEPLOYMENT, mine)
    put(store, CONFIG_MAP, cluster.new(CONFIG_MAP, "g-config", **owned(gateway)))
    put(store, CONFIG_MAP, cluster.new(CONFIG_MAP, "old", **owned(predecessor)))
    put(store, CONFIG_MAP, cluster.new(CONFIG_MAP, "free"))
    put(store, POD, cluster.new(POD, "g-1", metadata={"labels": {"llmgateway.dev/gateway": "g"}}))
    put(store, POD, cluster.new(POD, "g-1", "m", metadata={"labels": {"llmgateway.dev/gateway": "g"}}))
    view = store.view(Key("n", "g"))
    assert view is not None
    assert {(each.kind, each.key.name) for each in view.children} == {
        (DEPLOYMENT, "g"),
        (CONFIG_MAP, "g-config"),
    }
    assert [each.key for each in view.pods] == [Key("n", "g-1")]
    put(store, DEPLOYMENT, cluster.touched(mine), "DELETED")
    view = store.view(Key("n", "g"))
    assert view is not None
    assert [each.kind for each in view.children] == [CONFIG_MAP]


# --- whom a change concerns


@pytest.fixture
def fleet(store: Store, cluster: Cluster) -> Store:
    """Gateways that take paid ones, free ones, all, one by name, one of another namespace, and none."""
    specs: dict[str, Json] = {
        "paid": selecting(tier="paid"),
        "free": selecting(tier="free"),
        "all": {"spec": {}},
        "named": {"spec": {"providers": {"refs": [{"name": "p"}]}}},
        "none": {"spec": {"providers": {}}},
        "aiming": {"spec": {"providers": {}, "routing": {"models": [{"targets": [{"provider": "p"}]}]}}},
    }
    for name, spec in specs.items():
        put(store, GATEWAY, cluster.new(GATEWAY, name, **spec))
    far = {"spec": {"providers": {"refs": [{"name": "x", "from": {"namespace": "n", "name": "p"}}]}}}
    put(store, GATEWAY, cluster.new(GATEWAY, "far", "m", **far))
    put(store, GATEWAY, cluster.new(GATEWAY, "stranger", "m", spec={}))
    return store


FAR = keys("far", namespace="m")
ALWAYS = keys("all", "named", "aiming") | FAR


def test_a_provider_concerns_whoever_may_serve_or_aims_at_it(fleet: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p", **labels(tier="paid"))
    added = fleet.affected(put(fleet, PROVIDER, obj, "ADDED"))
    assert added == Affected(ALWAYS | keys("paid"), keys("p"))
    removed = fleet.affected(put(fleet, PROVIDER, cluster.touched(obj), "DELETED"))
    assert removed == added


def test_a_provider_that_changes_its_label_concerns_old_and_new(fleet: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p", **labels(tier="paid"))
    put(fleet, PROVIDER, obj, "ADDED")
    change = put(fleet, PROVIDER, cluster.touched(obj, **labels(tier="free")), "MODIFIED")
    assert fleet.affected(change).gateways == ALWAYS | keys("paid", "free")


def test_a_provider_that_was_made_anew_under_its_name_concerns_old_and_new(
    fleet: Store, cluster: Cluster
) -> None:
    put(fleet, PROVIDER, cluster.new(PROVIDER, "p", **labels(tier="paid")), "ADDED")
    change = put(fleet, PROVIDER, cluster.new(PROVIDER, "p", **labels(tier="free")), "ADDED")
    assert fleet.affected(change).gateways == ALWAYS | keys("paid", "free")


def test_a_status_that_we_write_concerns_nobody(fleet: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p", **labels(tier="paid"))
    put(fleet, PROVIDER, obj)
    change = put(fleet, PROVIDER, cluster.touched(obj, status={"a": 1}), "MODIFIED")
    assert fleet.affected(change) == Affected()
    found = fleet.get(PROVIDER, Key("n", "p"))
    assert found is not None
    assert found.status == {"a": 1}


def test_a_gateway_concerns_itself_and_the_providers_of_before_and_now(
    store: Store, cluster: Cluster
) -> None:
    for name in ("a", "b", "c"):
        put(store, PROVIDER, cluster.new(PROVIDER, name))
    obj = cluster.new(GATEWAY, "g", spec={"providers": {"refs": [{"name": "a"}]}})
    assert store.affected(put(store, GATEWAY, obj)) == Affected(keys("g"), keys("a"))
    change = put(store, GATEWAY, cluster.touched(obj, spec={"providers": {"refs": [{"name": "b"}]}}))
    assert store.affected(change) == Affected(keys("g"), keys("a", "b"))
    gone = put(store, GATEWAY, cluster.touched(obj), "DELETED")
    assert store.affected(gone) == Affected(keys("g"), keys("b"))


def test_a_secret_concerns_the_gateways_of_the_providers_that_name_it(fleet: Store, cluster: Cluster) -> None:
    put(fleet, PROVIDER, cluster.new(PROVIDER, "p", **{**labels(tier="paid"), **keyed("s")}))
    put(fleet, PROVIDER, cluster.new(PROVIDER, "q", **{**labels(tier="free"), **keyed("t")}))
    put(fleet, PROVIDER, cluster.new(PROVIDER, "p", "m", **keyed("s")))
    expected = Affected(keys("all", "named", "paid") | FAR, keys("p"))
    obj = cluster.new(SECRET, "s", data={"k": ""})
    assert fleet.affected(put(fleet, SECRET, obj, "ADDED")) == expected
    rotated = cluster.touched(obj, data={"k": base64.b64encode(b"new").decode()})
    assert fleet.affected(put(fleet, SECRET, rotated, "MODIFIED")) == expected
    assert fleet.affected(put(fleet, SECRET, cluster.touched(rotated), "MODIFIED")) == Affected()
    assert fleet.affected(put(fleet, SECRET, cluster.touched(rotated), "DELETED")) == expected


def test_a_secret_that_a_provider_names_no_more_concerns_nobody(fleet: Store, cluster: Cluster) -> None:
    obj = cluster.new(PROVIDER, "p", **keyed("s"))
    put(fleet, PROVIDER, obj)
    put(fleet, PROVIDER, cluster.touched(obj, spec={}))
    assert fleet.affected(put(fleet, SECRET, cluster.new(SECRET, "s", data={}))) == Affected()


def test_a_secret_that_a_gateway_names_concerns_it(store: Store, cluster: Cluster) -> None:
    put(store, GATEWAY, cluster.new(GATEWAY, "g", spec={"redis": {"secretRef": {"name": "s", "key": "k"}}}))
    assert store.affected(put(store, SECRET, cluster.new(SECRET, "s", data={}))) == Affected(keys("g"))


def test_a_child_concerns_its_owner_of_before_and_now(store: Store, cluster: Cluster) -> None:
    gateway = cluster.new(GATEWAY, "g", spec={})
    obj = cluster.new(SECRET, "g-credentials", data={}, **owned(gateway))
    assert store.affected(put(store, SECRET, obj)) == Affected(keys("g"))
    stolen = cluster.touched(obj, metadata={"ownerReferences": []})
    assert store.affected(put(store, SECRET, stolen)) == Affected(keys("g"))
    assert store.affected(put(store, SECRET, cluster.touched(stolen), "DELETED")) == Affected()


def test_a_pod_concerns_the_gateway_on_its_label(store: Store, cluster: Cluster) -> None:
    obj = cluster.new(
        POD, "g-1", metadata={"labels": {"llmgateway.dev/gateway": "g"}}, status={"phase": "Pending"}
    )
    assert store.affected(put(store, POD, obj)) == Affected(keys("g"))
    running = cluster.touched(obj, status={"phase": "Running"})
    assert store.affected(put(store, POD, running)) == Affected(keys("g"))


def test_an_owner_of_another_group_is_not_ours(store: Store, cluster: Cluster) -> None:
    owner = {
        "apiVersion": "other.example/v1",
        "kind": "LLMGateway",
        "name": "g",
        "uid": "u",
        "controller": True,
    }
    obj = cluster.new(DEPLOYMENT, "d", metadata={"ownerReferences": [owner]})
    assert store.affected(put(store, DEPLOYMENT, obj)) == Affected()


def test_a_namespace_concerns_its_gateways_that_reach_out_of_it(fleet: Store, cluster: Cluster) -> None:
    obj = cluster.new(NAMESPACE, "m", **labels(team="a"))
    assert fleet.affected(put(fleet, NAMESPACE, obj)) == Affected(FAR, keys("p"))
    assert fleet.affected(put(fleet, NAMESPACE, cluster.new(NAMESPACE, "n"))) == Affected()


# --- whatever the order


@given(seed=st.integers(0, 2**32))
def test_in_whatever_order_it_is_told_it_ends_with_what_is_true(seed: int) -> None:
    """Watches tell each object's events in order, lose deletions, and mix with lists that may be old; after a last
    whole sweep the store is the truth, all indexes are those of a store fed with the truth alone, and whoever is
    affected by the way from one view to another was named."""
    dice, cluster = random.Random(seed), Cluster()
    store = Store((PROVIDER,))
    put(store, GATEWAY, cluster.new(GATEWAY, "g", "n", **selecting(t="1")))
    alive: dict[str, Json] = {}
    queues: dict[str, list[tuple[str, Json]]] = {}
    history: list[list[Json]] = [[]]
    before = view_of(store)
    for _ in range(60):
        match dice.randrange(6):
            case 0 | 1 | 2:
                change_something(dice, cluster, alive, queues)
                history.append(list(alive.values()))
            case 3 | 4 if any(queues.values()):
                queue = dice.choice([queue for queue in queues.values() if queue])
                event_type, obj = queue.pop(0)
                if event_type != "DELETED" or dice.random() < 0.7:
                    before = tell(store, store.put(PROVIDER, event_type, obj), before)
            case _:
                for obj in dice.choice(history[-5:]):
                    before = tell(store, store.put(PROVIDER, None, obj), before)
    known_before = store.all(PROVIDER)
    for obj in alive.values():
        before = tell(store, store.put(PROVIDER, None, obj), before)
    for known in known_before:
        if known.uid not in {obj["metadata"]["uid"] for obj in alive.values()}:
            before = tell(store, store.gone(known), before)
    truth = Store(())
    put(truth, GATEWAY, cluster.new(GATEWAY, "g", "n", **selecting(t="1")))
    for obj in alive.values():
        put(truth, PROVIDER, obj)
    assert store.all(PROVIDER) == truth.all(PROVIDER)
    assert view_of(store) == view_of(truth)
    assert store._by_namespace == truth._by_namespace
    assert store._secret_users == truth._secret_users


def change_something(
    dice: random.Random, cluster: Cluster, alive: dict[str, Json], queues: dict[str, list[tuple[str, Json]]]
) -> None:
    name = dice.choice("abc")
    shape = {"metadata": {"labels": {"t": dice.choice("12")}}, **keyed(dice.choice("xy"))}
    there = alive.get(name)
    if there is None:
        obj, event_type = cluster.new(PROVIDER, name, **shape), "ADDED"
    elif dice.random() < 0.4:
        obj, event_type = cluster.touched(there), "DELETED"
    else:
        obj, event_type = cluster.touched(there, **shape), "MODIFIED"
    if event_type == "DELETED":
        del alive[name]
    else:
        alive[name] = obj
    queues.setdefault(obj["metadata"]["uid"], []).append((event_type, obj))


def view_of(store: Store) -> Any:
    view = store.view(Key("n", "g"))
    assert view is not None
    return dict(view.providers), view.missing_secrets


def tell(store: Store, change: Change | None, before: Any) -> Any:
    """What changes in the view of a gateway has to be said of it."""
    after = view_of(store)
    if change is None:
        assert after == before
    elif after[1] != before[1] or {k: v.fingerprint for k, v in after[0].items()} != {
        k: v.fingerprint for k, v in before[0].items()
    }:
        assert Key("n", "g") in store.affected(change).gateways
    return after
