"""One namespace of a control plane on which the operator runs, through the real kubectl."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import yaml

from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.kubectl import Output
from llm_gateway_testing.cluster.poll import eventually

T = TypeVar("T")
NAME = "llm-gateway"
OWNED = "serviceaccounts,secrets,configmaps,services,deployments,hpa,pdb,networkpolicies"
Json = dict[str, Any]


class Fleet:
    """`namespace` is there. Objects are named without it."""

    def __init__(self, cluster: ControlPlane, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *args: str, stdin: str | None = None) -> Output:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *args, stdin=stdin)

    def apply(self, *objects: Json) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text).text()

    def get(self, kind: str, name: str = NAME) -> Json | None:
        found = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found", "--show-managed-fields")
        return json.loads(found.text()) if found.text() else None

    def patch(self, kind: str, patch: Json, name: str = NAME) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch)).text()

    def owned(self) -> list[Json]:
        """The objects with a controller."""
        items = self.kubectl("get", OWNED, "-o", "json").json()["items"]
        return [each for each in items if each["metadata"].get("ownerReferences")]

    def names(self) -> set[str]:
        return {f"{each['kind']} {each['metadata']['name']}" for each in self.owned()}

    def document(self) -> Any:
        """gateway.yaml as it was published, or {}."""
        found = self.get("configmap", f"{NAME}-config")
        return yaml.safe_load(found["data"]["gateway.yaml"]) if found else {}

    def providers(self) -> set[str]:
        return set(self.document().get("providers", {}))

    def credentials(self) -> set[str]:
        """The values that the pods get."""
        found = self.get("secret", f"{NAME}-credentials") or {}
        return {base64.b64decode(value).decode() for value in (found.get("data") or {}).values()}

    def condition(self, kind: str, of: str = "llmgateway", name: str = NAME) -> Json:
        """{} where there is none, or none about the newest generation."""
        found = self.get(of, name)
        if found is None:
            return {}
        said = (found.get("status") or {}).get("conditions") or ()
        return next(
            (
                each
                for each in said
                if each["type"] == kind and each["observedGeneration"] == found["metadata"]["generation"]
            ),
            {},
        )

    def says(self, kind: str, status: str, reason: str, of: str = "llmgateway", name: str = NAME) -> Json:
        """Waits until a condition says so."""
        return eventually(
            f"{of} {name}: {kind} {status} {reason}",
            lambda: _if(
                self.condition(kind, of, name), lambda it: (it["status"], it["reason"]) == (status, reason)
            ),
        )

    def replicas(self) -> int | None:
        found = self.get("deployment")
        return found["spec"].get("replicas") if found else None

    def make_pods_ready(self) -> None:
        """In the place of a kubelet, once: those that are there."""
        ready = {
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                ],
            }
        }
        for name in self.kubectl("get", "pods", "-o", "name").text().split():
            self.kubectl(
                "patch", name, "--subresource=status", "--type=merge", "-p", json.dumps(ready)
            ).text()

    def becomes_ready(self) -> None:
        def ready() -> bool:
            self.make_pods_ready()
            return self.condition("Ready").get("status") == "True"

        eventually("Ready", ready)


def _if(value: Json, test: Callable[[Json], bool]) -> Json | None:
    return value if value and test(value) else None


def provider(name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "llmgateway.dev/v1alpha1",
        "kind": "LLMProvider",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"type": "Mock", "models": [{"name": "echo"}], **spec},
    }


def openai(name: str, secret: str, key: str = "key", **spec: Any) -> Json:
    auth = {"secretRef": {"name": secret, "key": key}}
    return provider(name, type="OpenAI", models=[{"name": "gpt-4o"}], auth=auth, **spec)


def gateway(name: str = NAME, **spec: Any) -> Json:
    return {
        "apiVersion": "llmgateway.dev/v1alpha1",
        "kind": "LLMGateway",
        "metadata": {"name": name},
        "spec": spec,
    }


def secret(name: str, **values: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
