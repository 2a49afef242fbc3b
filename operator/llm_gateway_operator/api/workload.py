"""How the pods of a gateway run: the parts of its spec that shape the Deployment, the Service and the autoscaler.

No field has a default: what is absent is only a default of the renderer, and must be told apart from a wish.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from llm_gateway_operator.api.common import Part
from llm_gateway_operator.api.freeform import FreeForm
from llm_gateway_operator.api.scalars import NO_STRINGS, Annotations, Labels

_MOST_REPLICAS = 1000


def _containers(description: str) -> dict[str, Any]:
    """A list of containers in which only the name is known here: field managers share it by that name."""
    name = {"type": "string", "maxLength": 63, "description": "Name of the container, by which it is merged."}
    return {
        "type": "array",
        "description": description,
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": name},
            "x-kubernetes-preserve-unknown-fields": True,
        },
    }


PodSpecOverlay = Annotated[
    FreeForm,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "containers": _containers("Overlays by name; the gateway's is gateway, others are sidecars."),
                "initContainers": _containers("Containers that run before the gateway's."),
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    ),
]
Replicas = Annotated[int, Field(strict=True, ge=0, le=_MOST_REPLICAS)]
SomeReplicas = Annotated[int, Field(strict=True, ge=1, le=_MOST_REPLICAS)]


class Autoscaling(Part):
    """A HorizontalPodAutoscaler of autoscaling/v2."""

    min_replicas: SomeReplicas | None = None
    """Fewest pods. Absent: 2, or maxReplicas when that is less."""
    max_replicas: SomeReplicas
    """Most pods."""
    target_cpu_utilization_percentage: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=1000)] | None,
        Field(alias="targetCPUUtilizationPercentage"),
    ] = None
    """CPU in use, in percent of the CPU that the pods request, averaged over the pods. Excludes metrics. Absent, and
    no metrics either: 70."""
    metrics: Annotated[tuple[FreeForm, ...], Field(max_length=16)] | None = None
    """The metrics of a HorizontalPodAutoscaler of autoscaling/v2, verbatim. Excludes targetCPUUtilizationPercentage."""
    behavior: FreeForm | None = None
    """The behavior of a HorizontalPodAutoscaler of autoscaling/v2, verbatim. Absent: up quickly, down by one pod at a
    time, because a pod that goes drains for minutes."""


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class Service(Part):
    """The Service in front of the pods."""

    type: ServiceType | None = None
    """Absent: ClusterIP."""
    annotations: Annotations = NO_STRINGS
    """Annotations of the Service, which is where cloud providers' load balancers take their settings from."""


class PodMetadata(Part):
    """Labels and annotations of the pods."""

    labels: Labels = NO_STRINGS
    """More labels of the pods. Those that select the gateway's pods stay as they are."""
    annotations: Annotations = NO_STRINGS
    """More annotations of the pods."""


class PodTemplate(Part):
    """A partial PodTemplateSpec: `model_dump(by_alias=True, exclude_none=True)` gives it as plain data."""

    metadata: PodMetadata | None = None
    """Labels and annotations of the pods."""
    spec: PodSpecOverlay | None = None
    """A partial PodSpec. It is checked by a dry run of the Deployment before it is used."""
