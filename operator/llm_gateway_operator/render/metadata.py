"""Names, labels and owner of a gateway's objects.

Nothing of the LLMGateway's own labels and annotations is copied: Argo CD and Flux would take the children for
members of the user's application, and prune them.
"""

from collections.abc import Mapping
from typing import Any

from llm_gateway_operator.api.common import API_VERSION, GROUP
from llm_gateway_operator.render.intent import Intent

MANAGED_BY = "llm-gateway-operator"
"""Value of `app.kubernetes.io/managed-by`: what the operator watches and prunes."""

OWNER_LABEL = f"{GROUP}/gateway"
"""Label of every child and pod; its value is the name of the LLMGateway."""

REVISION_ANNOTATION = f"{GROUP}/revision"


def selector(intent: Intent) -> dict[str, str]:
    """What selects the pods: one label of a domain of ours, since a selector can never change."""
    return {OWNER_LABEL: intent.name}


def labels(intent: Intent) -> dict[str, str]:
    # No version among them: on pods, every upgrade of the operator would be a roll.
    return {
        "app.kubernetes.io/name": "llm-gateway",
        "app.kubernetes.io/instance": intent.name,
        "app.kubernetes.io/component": "gateway",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        **selector(intent),
    }


def head(
    intent: Intent, api_version: str, kind: str, name: str, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The part that all objects share."""
    metadata: dict[str, Any] = {"name": name, "namespace": intent.namespace, "labels": labels(intent)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if intent.uid is not None:
        metadata["ownerReferences"] = [_owner(intent, intent.uid)]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _owner(intent: Intent, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "LLMGateway",
        "name": intent.name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
