"""The HorizontalPodAutoscaler, where the resource asks for one."""

from typing import Any

from llm_gateway_operator.api.workload import Autoscaling
from llm_gateway_operator.render.defaults import Default, default, said_or
from llm_gateway_operator.render.deployment import DEFAULT_REPLICAS
from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head

_DEFAULT_CPU_PERCENT = 70

# Up at once, since requests wait; down slowly, since each pod that goes drains for minutes.
_BEHAVIOR: dict[str, Any] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 30},
            {"type": "Pods", "value": 4, "periodSeconds": 30},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 600,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    },
}


def autoscaler(intent: Intent) -> dict[str, Any] | None:
    wanted = intent.spec.autoscaling
    if wanted is None:
        return None
    said = wanted.model_dump(by_alias=True, exclude_none=True)
    return {
        **head(intent, "autoscaling/v2", "HorizontalPodAutoscaler", intent.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": intent.name},
            "minReplicas": said_or(wanted.min_replicas, min(DEFAULT_REPLICAS, wanted.max_replicas)),
            "maxReplicas": wanted.max_replicas,
            "metrics": _metrics(wanted, said),
            # By direction: whoever says how to go down has said nothing about how to go up.
            "behavior": {**default(_BEHAVIOR), **said.get("behavior", {})},
        },
    }


def _metrics(wanted: Autoscaling, said: dict[str, Any]) -> Any:
    percent = wanted.target_cpu_utilization_percentage
    if percent is not None:
        return [_cpu(percent), *said.get("metrics", [])]
    return said.get("metrics") or Default([_cpu(_DEFAULT_CPU_PERCENT)])


def _cpu(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
