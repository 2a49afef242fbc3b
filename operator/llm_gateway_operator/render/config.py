"""The ConfigMap with gateway.yaml."""

from typing import Any

from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import REVISION_ANNOTATION, head

DOCUMENT = "gateway.yaml"


def config_name(name: str) -> str:
    return f"{name}-config"


def config(intent: Intent) -> dict[str, Any]:
    annotations = {REVISION_ANNOTATION: intent.revision}
    return {
        **head(intent, "v1", "ConfigMap", config_name(intent.name), annotations),
        "data": {DOCUMENT: intent.document},
    }
