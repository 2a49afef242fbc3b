"""The NetworkPolicy of the pods.

In: the API from anywhere; port 9090 from the operator and from the namespace `monitoring`. Probes of the kubelet come
from the node, which no policy keeps out. Out: everything but the addresses where clouds give away the credentials
of the node.
"""

from typing import Any

from llm_gateway_operator.render.defaults import Default
from llm_gateway_operator.render.intent import METRICS_PORT, Intent
from llm_gateway_operator.render.metadata import MANAGED_BY, head, selector

MONITORING_NAMESPACE = "monitoring"

# Every namespace has this label, with its name.
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"

# Link-local, which holds the metadata servers of all clouds; the other two are those of AWS and Google in IPv6.
_METADATA_V4 = ["169.254.0.0/16"]
_METADATA_V6 = ["fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10"]

_OUT: list[dict[str, Any]] = [
    # A resolver may be link-local: NodeLocal DNSCache listens on 169.254.20.10.
    {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
    {
        "to": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": _METADATA_V4}},
            {"ipBlock": {"cidr": "::/0", "except": _METADATA_V6}},
            # Some network plug-ins (Cilium) never match a pod by its address.
            {"namespaceSelector": {}},
        ]
    },
]


def network_policy(intent: Intent) -> dict[str, Any]:
    return {
        **head(intent, "networking.k8s.io/v1", "NetworkPolicy", intent.name),
        "spec": {
            "podSelector": {"matchLabels": selector(intent)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": Default(_in(intent)),
            "egress": Default(_OUT),
        },
    }


def _in(intent: Intent) -> list[dict[str, Any]]:
    operator = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: intent.installation.operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": MANAGED_BY}},
    }
    monitoring = {"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: MONITORING_NAMESPACE}}}
    return [
        {"ports": [{"port": intent.port, "protocol": "TCP"}]},
        {"ports": [{"port": METRICS_PORT, "protocol": "TCP"}], "from": [operator, monitoring]},
    ]
