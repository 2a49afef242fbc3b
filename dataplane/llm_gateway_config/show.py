"""The effective configuration as text.

Rule: what is printed can be read back as a document, but for the secrets, which are `***` or the file they
came from.
"""

from typing import Any

from llm_gateway_config.document import GatewayConfig
from llm_gateway_config.dump import dump
from llm_gateway_config.substitute import escape


def show(config: GatewayConfig) -> str:
    """YAML of every setting in force, defaults included."""
    return dump(_escaped(config.model_dump(mode="json", exclude_none=True)))


def _escaped(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _escaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_escaped(value) for value in node]
    return escape(node) if isinstance(node, str) else node
