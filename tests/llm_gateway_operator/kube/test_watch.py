"""What kopf is told: without a server."""

import logging
from typing import Any

import pytest
from kopf._cogs.structs.references import Resource

from llm_gateway_operator.kube.kinds import DEPLOYMENT, GATEWAY, POD, SECRET, Json, Kind
from llm_gateway_operator.kube.scope import cluster_wide, in_namespaces
from llm_gateway_operator.kube.watch import registry, settings

OURS = ["app.kubernetes.io/managed-by=llm-gateway-operator"]
NO_TOKENS = ["type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"]


def resource(kind: Kind) -> Resource:
    return Resource(
        group=kind.group, version=kind.version, plural=kind.plural, kind=kind.kind, namespaced=kind.namespaced
    )


def test_each_kind_has_the_selectors_that_it_should_have() -> None:
    """kopf takes any string for a key, and asks for everything when none matches."""
    scope = cluster_wide()
    watching = settings(scope).watching
    for kind in scope.kinds:
        owned = kind not in (GATEWAY, SECRET) and kind.plural not in ("llmproviders", "namespaces")
        assert watching.label_selectors.collect(resource(kind)) == (OURS if owned else []), kind
        assert watching.field_selectors.collect(resource(kind)) == (NO_TOKENS if kind == SECRET else []), kind


def test_kopf_is_told_to_write_nothing_and_to_watch_nothing_else() -> None:
    chosen = settings(cluster_wide())
    assert chosen.scanning.disabled
    assert chosen.peering.standalone
    assert not chosen.posting.enabled
    assert chosen.queueing.worker_limit is None


def test_there_are_event_handlers_only() -> None:
    handlers = registry(cluster_wide(), lambda *_: None)
    assert len(handlers._watching._handlers) == len(cluster_wide().kinds)
    for other in (handlers._changing, handlers._spawning, handlers._indexing, handlers._webhooks):
        assert other._handlers == []


def test_an_operator_with_roles_alone_does_not_ask_for_namespaces() -> None:
    scope = in_namespaces("a", "b")
    assert all(kind.namespaced for kind in scope.kinds)
    assert scope.places(SECRET) == ("a", "b")
    assert cluster_wide().places(DEPLOYMENT) == (None,)


async def test_an_error_in_the_sink_is_logged_without_its_values(caplog: pytest.LogCaptureFixture) -> None:
    def sink(kind: Kind, event_type: str | None, obj: Json) -> None:
        raise ValueError("planted-secret-value")

    handlers = registry(cluster_wide(), sink)
    [handler] = [each for each in handlers._watching._handlers if each.id == str(POD)]
    event: Any = {"type": "ADDED", "object": {"metadata": {"namespace": "n", "name": "p"}}}
    function: Any = handler.fn
    with caplog.at_level(logging.DEBUG):
        assert await function(event=event) is None
    assert "an event of pods n/p was lost" in caplog.text
    assert "planted" not in caplog.text
