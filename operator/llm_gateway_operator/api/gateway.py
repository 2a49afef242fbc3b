"""`LLMGateway`: one fleet of gateways, which providers it serves and how it routes. Shape: api.md."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from llm_gateway_config.fields import ModelName
from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.units import Duration
from llm_gateway_operator.api.common import NO_STRINGS, AtLeastOne, Count, Metadata, ObjectName, Part


class Strategy(StrEnum):
    MODEL_BASED = "ModelBased"


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Part):
    """One entry of `matchExpressions`, with the meaning that Kubernetes gives it."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


class Selector(Part):
    """A label selector; an empty one selects everything."""

    match_labels: FrozenMap[str] = NO_STRINGS
    match_expressions: tuple[Requirement, ...] = ()


class ProviderRef(Part):
    name: ObjectName


class Providers(Part):
    """Which providers of the namespace are served: the union of both."""

    selector: Selector | None = None
    refs: tuple[ProviderRef, ...] | None = None


class Target(Part):
    """One way to answer. `priority` absent: 0, tried first. `weight` absent on all: in the order of names."""

    provider: ObjectName
    model: ModelName
    weight: Count | None = None
    priority: Count | None = None


class RoutedModel(Part):
    """A model of the gateway's own."""

    name: ModelName
    targets: Annotated[tuple[Target, ...], AtLeastOne, Field(max_length=16)]


class Routing(Part):
    strategy: Strategy | None = None
    models: Annotated[tuple[RoutedModel, ...], Field(max_length=256)] = ()


class Listener(Part):
    name: ObjectName
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]


class GatewaySpec(Part):
    """`providers` absent: all of the namespace; `drainTimeout` absent: the gateway's default."""

    providers: Providers | None = None
    routing: Routing | None = None
    listeners: Annotated[tuple[Listener, ...], Field(max_length=1)] = ()
    drain_timeout: Duration | None = None


class LLMGateway(Part):
    api_version: Literal["llmgateway.dev/v1alpha1"]
    kind: Literal["LLMGateway"]
    metadata: Metadata
    spec: GatewaySpec
