"""The pod template. What no field of the resource speaks about comes in by `spec.podTemplate`.

Nothing in it depends on the document or the credentials: a change of configuration never restarts a pod.
"""

import math
from collections.abc import Mapping
from typing import Any

from llm_gateway_operator.render.config import DOCUMENT, config_name
from llm_gateway_operator.render.credentials import credentials_name
from llm_gateway_operator.render.defaults import Default, default
from llm_gateway_operator.render.intent import METRICS_PORT, Intent
from llm_gateway_operator.render.metadata import labels, selector
from llm_gateway_operator.render.overlay import overlay
from llm_gateway_operator.render.version import ServerVersion

CONTAINER = "gateway"
API_PORT = "http"

_METRICS = "metrics"
_CONFIG_FOLDER = "/etc/llm-gateway"

# Of the images; the group that may read credentials.
_GROUP = 10001

# Until no proxy sends new connections any more, in seconds: endpoints go while the pod is stopping already.
_PRE_STOP = 5
# From the end of the drain, to say goodbye.
_GOODBYE = 10

# The row for staging of the deployment guide.
_RESOURCES = {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}

_PRIVILEGED_PORTS = 1024


def pod_template(intent: Intent, server: ServerVersion) -> dict[str, Any]:
    said = _said(intent)
    rendered = {
        "metadata": {
            "labels": labels(intent),
            "annotations": {"kubectl.kubernetes.io/default-container": Default(CONTAINER)},
        },
        "spec": _spec(intent, server, said),
    }
    template = overlay(rendered, said)
    # By these the Deployment, the Service and the operator find the pods.
    template["metadata"]["labels"] |= labels(intent)
    return template


def _said(intent: Intent) -> dict[str, Any]:
    template = intent.spec.pod_template
    return template.model_dump(by_alias=True, exclude_none=True) if template else {}


def _spec(intent: Intent, server: ServerVersion, said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "serviceAccountName": Default(intent.name),
        "automountServiceAccountToken": Default(False),
        "enableServiceLinks": Default(False),
        "terminationGracePeriodSeconds": _grace_period(intent),
        "securityContext": _pod_security(intent),
        "topologySpreadConstraints": default(_spread(intent, server), "topologySpreadConstraints"),
        "containers": [_container(intent, server, said)],
        "volumes": [_config_volume(intent), {"name": "tmp", "emptyDir": default({"sizeLimit": "64Mi"})}],
    }


def _grace_period(intent: Intent) -> int | Default:
    seconds = grace_period(intent.drain_timeout)
    return Default(seconds) if intent.spec.drain_timeout is None else seconds


def grace_period(drain_timeout: float) -> int:
    """`terminationGracePeriodSeconds`: the time of the hook before the stop counts against it."""
    return _PRE_STOP + math.ceil(drain_timeout) + _GOODBYE


def _pod_security(intent: Intent) -> dict[str, Any]:
    security: dict[str, Any] = default(
        {"runAsNonRoot": True, "fsGroup": _GROUP, "seccompProfile": {"type": "RuntimeDefault"}}
    )
    if intent.port < _PRIVILEGED_PORTS:
        # Within the pod's network only; one of the few that restricted Pod Security allows.
        security["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return security


def _spread(intent: Intent, server: ServerVersion) -> list[dict[str, Any]]:
    # Else a rolling update counts the pods that are about to go.
    newer = {"matchLabelKeys": ["pod-template-hash"]} if server.has_match_label_keys else {}
    return [
        {
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "maxSkew": 1,
            "labelSelector": {"matchLabels": selector(intent)},
            **newer,
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _container(intent: Intent, server: ServerVersion, said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": Default(intent.installation.image),
        "args": ["--config", f"{_CONFIG_FOLDER}/{DOCUMENT}"],
        "ports": [
            {"name": API_PORT, "containerPort": intent.port, "protocol": "TCP"},
            {"name": _METRICS, "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": default(_resources(said)),
        "securityContext": default(
            {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        ),
        # Ready after a second, if the node is idle.
        "startupProbe": _probe("/startup", periodSeconds=1, failureThreshold=60),
        # A live gateway whose providers are down is not mended by a restart: /live asks none of them.
        "livenessProbe": _probe("/live", periodSeconds=10, failureThreshold=3),
        "readinessProbe": _probe("/ready", periodSeconds=5, failureThreshold=2),
        "lifecycle": default({"preStop": _pre_stop(server)}),
        "volumeMounts": [
            {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probe(path: str, **numbers: int) -> Any:
    return default({"httpGet": {"path": path, "port": _METRICS}, "timeoutSeconds": 5, **numbers})


def _pre_stop(server: ServerVersion) -> dict[str, Any]:
    if server.has_sleep:
        return {"sleep": {"seconds": _PRE_STOP}}
    return {"exec": {"command": ["python3", "-c", f"import time; time.sleep({_PRE_STOP})"]}}


def _resources(said: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Defaults for what the resource does not mention: half of a pair may contradict the other half of ours."""
    mentioned = _mentioned(said)
    amounts = {
        part: {name: amount for name, amount in amounts.items() if name not in mentioned}
        for part, amounts in _RESOURCES.items()
    }
    return {part: rest for part, rest in amounts.items() if rest}


def _mentioned(said: Mapping[str, Any]) -> set[str]:
    """The names of resources (cpu, memory) that the gateway's container has requests or limits for."""
    containers = _at(said, "spec", "containers")
    for container in containers if isinstance(containers, list) else []:
        if _at(container, "name") == CONTAINER:
            parts = [_at(container, "resources", part) for part in _RESOURCES]
            return {name for part in parts if isinstance(part, Mapping) for name in part}
    return set()


def _at(data: Any, *path: str) -> Any:
    """What stands at `path`, as far as there is one: nobody has checked an overlay."""
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _config_volume(intent: Intent) -> dict[str, Any]:
    # One volume, so that a document and its credentials appear together.
    sources = [
        {"configMap": {"name": config_name(intent.name)}},
        {"secret": {"name": credentials_name(intent.name)}},
    ]
    return {"name": "config", "projected": {"defaultMode": 0o440, "sources": sources}}
