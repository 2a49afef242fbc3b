"""The Deployment: how many pods there are and how they are replaced. What they are is in `pod`."""

from typing import Any

from llm_gateway_operator.render.defaults import Default, default, said_or
from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head, selector
from llm_gateway_operator.render.pod import pod_template
from llm_gateway_operator.render.version import ServerVersion

DEFAULT_REPLICAS = 2

# A pod that breaks down right after its start never counts as available.
_MIN_READY_SECONDS = 10


def deployment(intent: Intent, server: ServerVersion) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if intent.spec.autoscaling is None:  # else the number is the autoscaler's
        spec["replicas"] = said_or(intent.spec.replicas, DEFAULT_REPLICAS)
    return {
        **head(intent, "apps/v1", "Deployment", intent.name),
        "spec": {
            **spec,
            "minReadySeconds": Default(_MIN_READY_SECONDS),
            "selector": {"matchLabels": selector(intent)},
            "strategy": default(
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}
            ),
            "template": pod_template(intent, server),
        },
    }
