"""The document gateway.yaml: the contract between whoever writes it (a person, the operator) and the data
plane.

Rule: it knows neither side. Every field says who sets it and what its absence means. Everything is frozen.
What depends on more than one field is in `checks`, which sees the document as written.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from llm_gateway_config.fields import (
    AnyCase,
    Count,
    Host,
    ModelName,
    Origins,
    Port,
    PositiveCount,
    ProviderId,
    Revision,
    Text,
)
from llm_gateway_config.frozen import FrozenMap, Keys
from llm_gateway_config.part import Part
from llm_gateway_config.provider import (
    OPENAI_BASE_URL,
    MockFault,
    MockFaultKind,
    MockOptions,
    Model,
    OpenModels,
    Price,
    Provider,
    ProviderTls,
    ProviderType,
    Proxy,
    Timeouts,
)
from llm_gateway_config.secret import Credential
from llm_gateway_config.units import Duration, PositiveDuration, Size

CONTRACT = 1
"""The highest contract number that this package reads."""

KNOWN_REQUIREMENTS: frozenset[str] = frozenset()
"""Groups of policy that a document may demand of its reader in `requires`."""

__all__ = [
    "CONTRACT",
    "KNOWN_REQUIREMENTS",
    "OPENAI_BASE_URL",
    "Cors",
    "Credential",
    "GatewayConfig",
    "Log",
    "LogFormat",
    "LogLevel",
    "MockFault",
    "MockFaultKind",
    "MockOptions",
    "Model",
    "OpenModels",
    "Price",
    "Provider",
    "ProviderTls",
    "ProviderType",
    "Proxy",
    "RoutedModel",
    "Routing",
    "Server",
    "ServerTls",
    "Strategy",
    "TargetRef",
    "Telemetry",
    "Timeouts",
]


class Strategy(StrEnum):
    """How targets of equal priority are ordered."""

    MODEL_BASED = "model_based"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written; auto is pretty on a terminal and json elsewhere."""

    JSON = "json"
    PRETTY = "pretty"
    AUTO = "auto"


class ServerTls(Part):
    """TLS on the serving port."""

    cert_path: Text = Field(
        description="Set by the user: PEM file of the certificate chain, relative to the document."
    )
    key_path: Text = Field(
        description="Set by the user: PEM file of its private key, relative to the document."
    )
    min_version: Literal["1.2", "1.3"] = Field(
        default="1.2", description="Set by the user, quoted: lowest TLS version. Absent: 1.2."
    )


class Cors(Part):
    """Which web pages may call the gateway."""

    allow_origins: Origins = Field(
        description="Set by the user: origins like https://app.example.com, or * for any; at least one.",
        json_schema_extra={"minItems": 1},
    )


class Server(Part):
    """The doors: ports, limits, times."""

    host: Host | None = Field(
        default=None,
        description="Set by the user, by images as 0.0.0.0: address to listen on. Absent: 127.0.0.1.",
    )
    port: Port = Field(
        default=8080,
        description="Set by the user or the operator: port of the API; 0 is any free one. Absent: 8080.",
    )
    metrics_port: Port = Field(
        default=9090,
        description=(
            "Set by the user or the operator: port of metrics, config and probes; 0 is any free one. "
            "Absent: 9090."
        ),
    )
    graceful_shutdown_timeout: Duration = Field(
        default=30.0,
        description=(
            "Set by the user, by the operator from drainTimeout: how long streams may finish at shutdown. "
            "Absent: 30s."
        ),
    )
    shutdown_delay: Duration = Field(
        default=0.0,
        description=(
            "Set by the user or the operator: unready but still accepting for so long at shutdown. Absent: "
            "0s, off."
        ),
    )
    keep_alive_timeout: PositiveDuration = Field(
        default=75.0,
        description="Set by the user: how long an idle client connection stays open. Absent: 75s.",
    )
    header_timeout: PositiveDuration = Field(
        default=30.0,
        description=(
            "Set by the user: time for a request's head to arrive, and between reads of its body. Absent: "
            "30s."
        ),
    )
    max_connections: PositiveCount = Field(
        default=10000, description="Set by the user: client connections at once. Absent: 10000."
    )
    max_request_body_size: Size = Field(
        default=10 * 10**6, description="Set by the user: largest request body. Absent: 10MB."
    )
    max_header_size: Size = Field(
        default=32 * 1000, description="Set by the user: largest request head. Absent: 32KB."
    )
    max_response_body_size: Size = Field(
        default=64 * 10**6,
        description="Set by the user: largest answer that is not streamed; it is held whole. Absent: 64MB.",
    )
    max_held_size: Size = Field(
        default=256 * 10**6, description="Set by the user: all held answers together. Absent: 256MB."
    )
    stream_heartbeat: Duration = Field(
        default=15.0,
        description=(
            "Set by the user: after so long without content a stream gets comments. Absent: 15s; 0s is off."
        ),
    )
    tls: ServerTls | None = Field(
        default=None, description="Set by the user: serve https. Absent: plain http."
    )
    cors: Cors | None = Field(
        default=None, description="Set by the user: let web pages call the gateway. Absent: no CORS headers."
    )


class TargetRef(Part):
    """One way to serve a routed model."""

    provider: ProviderId = Field(description="Set by the user: id of a provider of this document.")
    model: ModelName = Field(description="Set by the user: a model of that provider, by its name there.")
    weight: Count | None = Field(
        default=None,
        description=(
            "Set by the user: share of the draw within a priority; 0 is for failover only. Absent on all: "
            "by name."
        ),
    )
    priority: Count = Field(default=0, description="Set by the user: lower is tried first. Absent: 0.")


class RoutedModel(Part):
    """A model of the gateway's own. Without targets only after a loader left out their providers."""

    targets: tuple[TargetRef, ...] = Field(
        description="Set by the user: where it is served; at least one.", json_schema_extra={"minItems": 1}
    )


class Routing(Part):
    """From a model's name to its targets."""

    strategy: Strategy = Field(
        default=Strategy.MODEL_BASED,
        description="Set by the user: order of targets of equal priority. Absent: model_based.",
    )
    models: Annotated[FrozenMap[RoutedModel], Keys(ModelName)] = Field(
        default=FrozenMap(),
        description="Set by the user: models by name, before those of the providers. Absent: only those.",
    )


class Log(Part):
    """Lines on standard output."""

    level: Annotated[LogLevel, AnyCase] = Field(
        default=LogLevel.INFO, description="Set by the user or LOG_LEVEL. Absent: info."
    )
    format: Annotated[LogFormat, AnyCase] = Field(
        default=LogFormat.AUTO, description="Set by the user. Absent: pretty on a terminal, else json."
    )


class Telemetry(Part):
    """What the gateway tells about itself."""

    log: Log = Field(default=Log(), description="Set by the user: the log. Absent: the defaults.")


class GatewayConfig(Part):
    """The whole document."""

    contract: PositiveCount = Field(
        default=CONTRACT,
        description=(
            "Set by the operator: number of the contract it was written for. Absent: 1. A higher one is "
            "refused."
        ),
    )
    requires: tuple[Text, ...] = Field(
        default=(),
        description="Set by the operator: policy groups that the reader must know, or refuse. Absent: none.",
    )
    revision: Revision | None = Field(
        default=None,
        description=(
            "Set by the operator: hash of the document and its credentials. Absent: the loader computes one."
        ),
    )
    server: Server = Field(
        default=Server(),
        description="Set by the user or the operator: ports and limits. Absent: the defaults.",
    )
    providers: Annotated[FrozenMap[Provider], Keys(ProviderId)] = Field(
        default=FrozenMap(),
        description="Set by the user or the operator: providers by id. Absent: none, so no model is served.",
    )
    routing: Routing = Field(
        default=Routing(),
        description="Set by the user: models with targets. Absent: only the providers' own models.",
    )
    telemetry: Telemetry = Field(
        default=Telemetry(), description="Set by the user: log. Absent: the defaults."
    )
