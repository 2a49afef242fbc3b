"""The pods' ServiceAccount: an identity for cloud providers, and no rights and no token in the cluster."""

from typing import Any

from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head


def service_account(intent: Intent) -> dict[str, Any]:
    return {
        **head(intent, "v1", "ServiceAccount", intent.name),
        "automountServiceAccountToken": False,
    }
