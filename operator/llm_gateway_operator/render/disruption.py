"""The PodDisruptionBudget: nodes are drained one pod of a gateway at a time.

As `maxUnavailable`, it never stands in the way of draining the node of a single pod.
"""

from typing import Any

from llm_gateway_operator.render.defaults import Default
from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head, selector
from llm_gateway_operator.render.version import ServerVersion


def disruption_budget(intent: Intent, server: ServerVersion) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "maxUnavailable": Default(1),
        "selector": {"matchLabels": selector(intent)},
    }
    if server.has_unhealthy_pod_eviction_policy:
        # Else pods that cannot start would keep a node from being drained.
        spec["unhealthyPodEvictionPolicy"] = Default("AlwaysAllow")
    return {**head(intent, "policy/v1", "PodDisruptionBudget", intent.name), "spec": spec}
