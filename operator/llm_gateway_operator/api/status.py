"""What the operator writes into `status`. Everything is bounded, and no value of a Secret is in it.

The text below a field is its description in the CRD, and what `kubectl explain` prints.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, WithJsonSchema

from llm_gateway_operator.api.common import Part

MOST_PROBLEMS = 16
MOST_CREDENTIALS = 64
MOST_GATEWAYS = 32
LONGEST_MESSAGE = 1024  # characters that the operator writes; the schema takes what the API conventions take

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Short = Annotated[str, Field(max_length=253)]
Number = Annotated[int, Field(ge=0, le=1_000_000_000)]
Generation = Annotated[int, Field(ge=0), WithJsonSchema({"type": "integer", "format": "int64", "minimum": 0})]


class Truth(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Part):
    """As `metav1.Condition`."""

    map_keys = ("type",)

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition."""
    status: Truth
    """True, False or Unknown."""
    observed_generation: Generation | None = None
    """The metadata.generation that this was said about."""
    last_transition_time: Time
    """When status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, as one constant word."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, for people."""


class PublishedCredential(Part):
    """A value of a Secret as the gateway has it."""

    map_keys = ("namespace", "secret", "key")

    namespace: Short
    """Namespace of the Secret."""
    secret: Short
    """Name of the Secret."""
    key: Short
    """The key in the Secret."""
    fingerprint: Annotated[str, Field(max_length=64)]
    """The first digits of the value's SHA-256, which tell two values apart."""
    published_at: Time
    """When this value was given to the gateway's pods."""


class SpecProblem(Part):
    """One thing to mend."""

    object: Annotated[str, Field(max_length=300)]
    """Kind, namespace and name of the object where it is to be mended."""
    path: Annotated[str, Field(max_length=1024)]
    """The field."""
    reason: Annotated[str, Field(max_length=64)]
    """The reason of the condition that it makes false."""
    message: Annotated[str, Field(max_length=32768)]
    """What is wrong."""


class GatewayStatus(Part):
    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32)] = ()
    """Accepted, ResolvedRefs, Programmed, Available and Ready; while true, also Reconciling, Stalled, Overridden,
    Suspended and AnonymousAccess."""
    providers: Annotated[str, Field(max_length=32)] | None = None
    """Providers served of those selected, like 2/3."""
    models: Number | None = None
    """Names of models that clients can ask for."""
    replicas: Annotated[str, Field(max_length=32)] | None = None
    """Pods that run the newest revision, of those wanted, like 3/3."""
    revision: Annotated[str, Field(max_length=128)] | None = None
    """The revision of the configuration that was published last."""
    url: Annotated[str, Field(max_length=2048)] | None = None
    """Where the API is served inside the cluster."""
    credentials: Annotated[tuple[PublishedCredential, ...], Field(max_length=MOST_CREDENTIALS)] = ()
    """Which values of Secrets the gateway has, and since when; never the values."""
    problems: Annotated[tuple[SpecProblem, ...], Field(max_length=MOST_PROBLEMS)] = ()
    """The first problems of this gateway and of its providers."""


class ServingGateway(Part):
    """A gateway that has selected this provider."""

    map_keys = ("namespace", "name")

    namespace: Short
    """Namespace of the LLMGateway."""
    name: Short
    """Name of the LLMGateway."""
    serving: bool
    """false: the gateway leaves this provider out."""


class ProviderStatus(Part):
    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32)] = ()
    """Accepted, ResolvedRefs, Ready and Healthy."""
    models: Number | None = None
    """Models that this provider lists."""
    gateway_count: Number | None = None
    """Gateways that have selected this provider."""
    gateways: Annotated[tuple[ServingGateway, ...], Field(max_length=MOST_GATEWAYS)] = ()
    """The first of them."""
