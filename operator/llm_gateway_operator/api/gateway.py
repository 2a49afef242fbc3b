"""`LLMGateway`: one fleet of gateways, which providers it serves, how it routes and how it runs. Shape: api.md.

The text below a field is its description in the CRD, and what `kubectl explain` prints.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from llm_gateway_operator.api.common import Metadata, Part
from llm_gateway_operator.api.scalars import AtLeastOne, Count, Duration, Flag, ModelName, ObjectName
from llm_gateway_operator.api.selector import Selector
from llm_gateway_operator.api.workload import Autoscaling, PodTemplate, Replicas, Service


class Strategy(StrEnum):
    MODEL_BASED = "ModelBased"


class ProviderSource(Part):
    """An LLMProvider of another namespace."""

    namespace: ObjectName
    """Namespace of the LLMProvider. The provider must consent to it in its spec.allowedGateways."""
    name: ObjectName
    """Name of the LLMProvider there."""


class ProviderRef(Part):
    """`source` absent: the provider `name` of the gateway's own namespace."""

    map_keys = ("name",)

    name: ObjectName
    """Name of the LLMProvider, and what targets call it. With `from`, a name that this gateway gives it."""
    source: Annotated[ProviderSource | None, Field(alias="from")] = None
    """Absent: a provider of the gateway's own namespace."""


class Providers(Part):
    """Which providers are served: the union of both. A selector looks only into the gateway's own namespace."""

    selector: Selector | None = None
    """Providers of the gateway's namespace by their labels; {} selects all of them."""
    refs: Annotated[tuple[ProviderRef, ...], Field(max_length=256)] | None = None
    """Providers by name."""


class Target(Part):
    """One way to answer."""

    map_keys = ("provider", "model")

    provider: ObjectName
    """A provider that this gateway serves."""
    model: ModelName
    """One of that provider's models."""
    weight: Count | None = None
    """Share among targets of equal priority, in proportion. 0: only when the others fail. Written on no target of
    the model: the targets are tried in the order of their names."""
    priority: Count | None = None
    """Tried in ascending order: a higher number only when all lower ones could not answer. Absent: 0."""


class RoutedModel(Part):
    """A model of the gateway's own."""

    map_keys = ("name",)

    name: ModelName
    """What clients ask for. Hides a model of the same name that providers list."""
    targets: Annotated[tuple[Target, ...], Field(max_length=16), AtLeastOne]
    """What answers for it. The order of the list means nothing: priority and weight do."""


class Routing(Part):
    strategy: Strategy | None = None
    """Orders the targets of equal priority. ModelBased, also when absent: by the weights written on the model."""
    models: Annotated[tuple[RoutedModel, ...], Field(max_length=256)] = ()
    """Models of the gateway's own, beside those that its providers list."""


class Listener(Part):
    map_keys = ("name",)

    name: ObjectName
    """Name of the listener, unique among the listeners of the gateway."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    """Port of the API in each pod and of the Service. 9090 is taken by metrics and health checks."""


class GatewaySpec(Part):
    """What is left out is only a default, which another field manager's value on the Deployment replaces."""

    providers: Providers | None = None
    """Which LLMProviders are served. Absent: all of the gateway's namespace."""
    routing: Routing | None = None
    """How models are answered. Absent: each model by the providers that list it."""
    listeners: Annotated[tuple[Listener, ...], Field(max_length=1)] = ()
    """Where the API is served, at most one for now. Absent: port 8080."""
    drain_timeout: Duration | None = None
    """How long a pod that stops lets open requests finish, like 10m. Absent: the longest timeouts.total of the
    providers served, rounded up to 10, 30 or 60 minutes."""
    replicas: Replicas | None = None
    """Number of pods. Excludes autoscaling. Absent: 2, or what `kubectl scale deployment` says."""
    autoscaling: Autoscaling | None = None
    """Makes a HorizontalPodAutoscaler that sets the number of pods. Excludes replicas."""
    service: Service | None = None
    """Shape of the Service in front of the pods. Absent: ClusterIP."""
    pod_template: PodTemplate | None = None
    """Overlay on the pods, merged into what the operator renders by the keys of lists (containers, env, volumes and
    ports by name), like a strategic merge patch. The gateway's container is named gateway."""
    suspend: Flag | None = None
    """true: nothing of this gateway is changed until it is false again; its pods serve on."""


class LLMGateway(Part):
    """A fleet of LLM gateway pods: which providers it serves, how it routes, and how it runs."""

    api_version: Literal["llmgateway.dev/v1alpha1"]
    kind: Literal["LLMGateway"]
    metadata: Metadata
    spec: GatewaySpec
    """What is wanted. {} serves every provider of the namespace."""
