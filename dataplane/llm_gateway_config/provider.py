"""A provider of models: where it is, how to speak to it, which models it serves.

Rule: like `document`, of which these models are part: each field says who sets it and what its absence means.
"The user" is whoever writes gateway.yaml or the custom resource that it is rendered from.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from llm_gateway_config.fields import (
    BaseUrl,
    Bool,
    Count,
    ErrorStatus,
    HeaderName,
    ModelName,
    Percent,
    ProxyUrl,
    Text,
)
from llm_gateway_config.frozen import FrozenMap, Keys
from llm_gateway_config.part import Part
from llm_gateway_config.secret import Credential, header_value
from llm_gateway_config.units import Dollars, Duration, PositiveDuration

OPENAI_BASE_URL = "https://api.openai.com/v1"


class ProviderType(StrEnum):
    """The dialect a provider speaks."""

    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai_compatible"
    MOCK = "mock"


class MockFaultKind(StrEnum):
    """What goes wrong on cue."""

    STATUS = "status"
    REFUSE = "refuse"
    RESET = "reset"
    SILENCE = "silence"
    CUT = "cut"
    STALL = "stall"
    MALFORMED = "malformed"
    NO_DONE = "no_done"
    ERROR_EVENT = "error_event"
    HTML = "html"
    EMPTY = "empty"


class Price(Part):
    """US dollars per million tokens."""

    input: Dollars = Field(
        description='Set by the user: price of a million input tokens, quoted, like "2.50".'
    )
    output: Dollars = Field(description="Set by the user: price of a million output tokens, quoted.")
    cached_input: Dollars | None = Field(
        default=None,
        description=(
            "Set by the user: price of a million input tokens read from the provider's cache. Absent: as "
            "input."
        ),
    )


class MockFault(Part):
    """A fault that the mock provider plays."""

    kind: MockFaultKind = Field(description="Set by the user: what goes wrong.")
    status: ErrorStatus = Field(
        default=500, description="Set by the user, for kind status: the HTTP status answered. Absent: 500."
    )
    retry_after: Duration | None = Field(
        default=None,
        description="Set by the user, for kind status: the Retry-After answered. Absent: no such header.",
    )
    after_tokens: Count = Field(
        default=3,
        description=(
            "Set by the user, for cut, stall, malformed and error_event: tokens before the fault. Absent: 3."
        ),
    )
    rate_percent: Percent = Field(
        default=100, description="Set by the user: share of requests that meet the fault. Absent: all."
    )


class MockOptions(Part):
    """How the mock provider answers."""

    first_token: Duration = Field(
        default=0.0, description="Set by the user: time before the first token. Absent: none."
    )
    tokens_per_second: Count = Field(
        default=0, description="Set by the user: speed of an answer. Absent or 0: no delay."
    )
    answer_tokens: Count = Field(
        default=16, description="Set by the user: length of a lorem answer in tokens. Absent: 16."
    )
    fault: MockFault | None = Field(
        default=None, description="Set by the user: a fault to play. Absent: none."
    )


class Model(Part):
    """A model that a provider serves."""

    name: ModelName = Field(description="Set by the user: what clients ask for; no *, slashes are allowed.")
    upstream_model: ModelName | None = Field(
        default=None,
        description="Set by the user: the model's name at the provider. Absent: the same as name.",
    )
    price: Price | None = Field(
        default=None, description="Set by the user: for the cost metrics. Absent: no cost is counted."
    )
    mock: MockOptions | None = Field(
        default=None,
        description=(
            "Set by the user, for type mock: how this model answers. Absent: as the provider's mock says."
        ),
    )


class OpenModels(Part):
    """The provider serves any model, as `provider/NAME`."""

    prefixes: tuple[ModelName, ...] = Field(
        default=(),
        description=(
            "Set by the user or by the environment-only start: bare names that begin so come here too. "
            "Absent: none."
        ),
    )


class Timeouts(Part):
    """The ladder of deadlines of one attempt."""

    connect: PositiveDuration = Field(
        default=5.0, description="Set by the user: until connected, DNS and TLS included. Absent: 5s."
    )
    headers: PositiveDuration = Field(
        default=60.0, description="Set by the user: from the request sent to the answer's head. Absent: 60s."
    )
    first_token: PositiveDuration = Field(
        default=60.0,
        description="Set by the user: from the head of a stream to its first content. Absent: 60s.",
    )
    idle: PositiveDuration = Field(
        default=60.0, description="Set by the user: longest silence inside a stream. Absent: 60s."
    )
    total: PositiveDuration = Field(
        default=600.0, description="Set by the user: the whole request, failover included. Absent: 10m."
    )


class ProviderTls(Part):
    """How the provider's certificate is checked."""

    ca_path: Text = Field(
        description=(
            "Set by the user: PEM file of the authorities to trust instead of the system's, relative to the "
            "document."
        ),
    )


class Proxy(Part):
    """An egress proxy."""

    url: ProxyUrl = Field(
        description="Set by the user: http://HOST:PORT of the proxy; no user name or password."
    )


def _named(models: Any) -> Any:
    if isinstance(models, list | tuple):
        return tuple({"name": model} if isinstance(model, str) else model for model in models)
    return models


class Provider(Part):
    """One place that serves models."""

    type: ProviderType = Field(
        description="Set by the user: the dialect it speaks. An unknown one leaves this provider out."
    )
    api_key: Credential | None = Field(
        default=None,
        description=(
            "Set by the user as text, ${VARIABLE} or {file: PATH}; by the operator as a file. Absent: no "
            "Authorization is sent."
        ),
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description=(
            f"Set by the user: where the API is. Absent: {OPENAI_BASE_URL} for openai; required for "
            "openai_compatible."
        ),
    )
    organization: Annotated[Text, AfterValidator(header_value)] | None = Field(
        default=None,
        description="Set by the user, for openai: the organization billed. Absent: the key's own.",
    )
    models: Annotated[
        tuple[Model, ...], BeforeValidator(_named, json_schema_input_type=tuple[ModelName | Model, ...])
    ] = Field(
        default=(),
        description=(
            "Set by the user: models served, each a name or a map. Absent: none but those of open_models."
        ),
    )
    open_models: OpenModels | None = Field(
        default=None,
        description=(
            "Set by the user or by the environment-only start: serve any name. Absent: only models listed."
        ),
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), description="Set by the user: deadlines of an attempt. Absent: the defaults."
    )
    headers: Annotated[FrozenMap[Credential], Keys(HeaderName)] = Field(
        default=FrozenMap(),
        description=(
            "Set by the user: request headers sent to the provider, each text or {file: PATH}. Absent: none."
        ),
    )
    stream_usage: Bool = Field(
        default=True,
        description=(
            "Set by the user: false when the server refuses stream_options. Absent: usage of streams is "
            "asked for."
        ),
    )
    tls: ProviderTls | None = Field(
        default=None, description="Set by the user: an authority of one's own. Absent: the system's."
    )
    proxy: Proxy | None = Field(
        default=None, description="Set by the user: an egress proxy. Absent: connect directly."
    )
    mock: MockOptions | None = Field(
        default=None, description="Set by the user, for type mock: how it answers. Absent: at once."
    )

    @model_validator(mode="before")
    @classmethod
    def _known_address(cls, data: Any) -> Any:
        if (
            isinstance(data, dict)
            and data.get("type") == ProviderType.OPENAI
            and data.get("base_url") is None
        ):
            return {**data, "base_url": OPENAI_BASE_URL}
        return data
