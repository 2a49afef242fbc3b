"""The Service in front of the pods: the API and nothing else, so that a load balancer never shows port 9090."""

from typing import Any

from llm_gateway_operator.render.defaults import said_or
from llm_gateway_operator.render.intent import Intent
from llm_gateway_operator.render.metadata import head, selector
from llm_gateway_operator.render.pod import API_PORT


def service(intent: Intent) -> dict[str, Any]:
    wanted = intent.spec.service
    kind = wanted.type.value if wanted and wanted.type else None
    return {
        **head(intent, "v1", "Service", intent.name, wanted.annotations if wanted else None),
        "spec": {
            "type": said_or(kind, "ClusterIP"),
            "selector": selector(intent),
            "ports": [
                {
                    "name": API_PORT,
                    "port": intent.port,
                    "targetPort": API_PORT,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }
