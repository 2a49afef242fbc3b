"""All objects of one gateway, in the order in which they are applied.

The order matters: credentials are there before the document that names them, and all that pods mount before the
pods.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llm_gateway_config.secret import MASK
from llm_gateway_operator.render.autoscaler import autoscaler
from llm_gateway_operator.render.config import config
from llm_gateway_operator.render.credentials import credentials
from llm_gateway_operator.render.defaults import Path, settle
from llm_gateway_operator.render.deployment import deployment
from llm_gateway_operator.render.disruption import disruption_budget
from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.network import network_policy
from llm_gateway_operator.render.service import service
from llm_gateway_operator.render.service_account import service_account
from llm_gateway_operator.render.version import ServerVersion


@dataclass(frozen=True, slots=True)
class Child:
    """`object`: what is applied. `defaults`: where in it another field manager's value stays (see `defaults`)."""

    object: dict[str, Any]
    defaults: tuple[Path, ...]

    def __repr__(self) -> str:
        """Without the object, which may be a Secret."""
        return f"Child({self.object['kind']} {self.object['metadata']['name']})"

    def masked(self) -> dict[str, Any]:
        """The object for people: values of a Secret as `***`, which no API server takes for one."""
        if self.object["kind"] != "Secret":
            return self.object
        return {**self.object, "data": dict.fromkeys(self.object["data"], MASK)}


def render(intent: Intent, server: ServerVersion) -> list[Child]:
    """`server` decides which fields newer than Kubernetes 1.25 are used."""
    return [Child(*settle(tree)) for tree in _trees(intent, server)]


def _trees(intent: Intent, server: ServerVersion) -> Iterator[dict[str, Any]]:
    yield service_account(intent)
    yield credentials(intent)
    yield config(intent)
    yield service(intent)
    yield deployment(intent, server)
    scaler = autoscaler(intent)
    if scaler is not None:
        yield scaler
    yield disruption_budget(intent, server)
    yield network_policy(intent)
