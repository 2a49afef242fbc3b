"""The contract: the document gateway.yaml, read, checked, shown. Knows neither the operator nor the data
plane.
"""

from llm_gateway_config.document import (
    CONTRACT,
    KNOWN_REQUIREMENTS,
    Cors,
    Credential,
    GatewayConfig,
    Log,
    LogFormat,
    LogLevel,
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
    RoutedModel,
    Routing,
    Server,
    ServerTls,
    Strategy,
    TargetRef,
    Telemetry,
    Timeouts,
)
from llm_gateway_config.dump import dump
from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.load import Loaded, load_file, load_text
from llm_gateway_config.problems import Problem, Refused, nearest, path_text, sentences
from llm_gateway_config.schema import json_schema
from llm_gateway_config.secret import Secret
from llm_gateway_config.show import show
from llm_gateway_config.substitute import escape, substitute
from llm_gateway_config.units import format_duration, format_size, parse_duration, parse_size

__all__ = [
    "CONTRACT",
    "KNOWN_REQUIREMENTS",
    "Cors",
    "Credential",
    "FrozenMap",
    "GatewayConfig",
    "Loaded",
    "Log",
    "LogFormat",
    "LogLevel",
    "MockFault",
    "MockFaultKind",
    "MockOptions",
    "Model",
    "OpenModels",
    "Price",
    "Problem",
    "Provider",
    "ProviderTls",
    "ProviderType",
    "Proxy",
    "Refused",
    "RoutedModel",
    "Routing",
    "Secret",
    "Server",
    "ServerTls",
    "Strategy",
    "TargetRef",
    "Telemetry",
    "Timeouts",
    "dump",
    "escape",
    "format_duration",
    "format_size",
    "json_schema",
    "load_file",
    "load_text",
    "nearest",
    "parse_duration",
    "parse_size",
    "path_text",
    "sentences",
    "show",
    "substitute",
]
