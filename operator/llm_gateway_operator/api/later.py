"""Fields and values of the custom resources that this version does not serve yet.

They are not fields of the models, because nothing reads them. They are named here only so that a user who
knows them from the documentation is told "not supported by this version" and not "unknown field".
"""

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

NOT_SUPPORTED = "not supported by this version"

# `*` stands for every entry of a list.
FIELDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "LLMProvider": (
        ("spec", "azure"),
        ("spec", "backendRef"),
        ("spec", "bedrock"),
        ("spec", "discovery"),
        ("spec", "limits"),
        ("spec", "models", "*", "contextWindow"),
        ("spec", "tls"),
        ("spec", "vertex"),
    ),
    "LLMGateway": (
        ("spec", "auth"),
        ("spec", "cache"),
        ("spec", "httpRoute"),
        ("spec", "ingress"),
        ("spec", "limits"),
        ("spec", "listeners", "*", "tls"),
        ("spec", "redis"),
        ("spec", "routing", "models", "*", "strategy"),
        ("spec", "serviceMonitor"),
    ),
}

VALUES: Mapping[str, Mapping[tuple[str, ...], frozenset[str]]] = {
    "LLMProvider": {
        ("spec", "type"): frozenset(
            {"Anthropic", "Google", "AzureOpenAI", "Bedrock", "Cohere", "Mistral", "Together"}
        ),
        ("spec", "auth", "type"): frozenset(
            {"WorkloadIdentity", "AWS", "GoogleServiceAccount", "EntraClient"}
        ),
    },
    "LLMGateway": {
        ("spec", "routing", "strategy"): frozenset(
            {"Weighted", "RoundRobin", "LeastLatency", "CostOptimized"}
        ),
    },
}


def unsupported(kind: str, data: Any) -> Iterator[Path]:
    """The paths in `data` of fields and values that come with a later version."""
    for pattern in FIELDS.get(kind, ()):
        yield from _paths(data, pattern)
    for pattern, values in VALUES.get(kind, {}).items():
        yield from (path for path in _paths(data, pattern) if _at(data, path) in values)


def _paths(data: Any, pattern: tuple[str, ...], before: Path = ()) -> Iterator[Path]:
    if not pattern:
        yield before
        return
    step, *rest = pattern
    if step == "*" and isinstance(data, list):
        for index, entry in enumerate(data):
            yield from _paths(entry, tuple(rest), (*before, index))
    elif isinstance(data, dict) and step in data:
        yield from _paths(data[step], tuple(rest), (*before, step))


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data if isinstance(data, str) else None
