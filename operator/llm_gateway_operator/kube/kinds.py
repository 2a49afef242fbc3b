"""The kinds that the operator deals with, and where each has its path: a table instead of discovery."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from llm_gateway_operator.api.common import GROUP

Json = dict[str, Any]
"""An object as the API server speaks it. Whoever gets one from here may read it, not change it."""


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One kind in one version. `group` is "" for the core group. `namespaced`: its objects lie in namespaces."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects write it: `apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        """`deployments.apps`, `secrets`: as kubectl and RBAC messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the kind's objects, of one object or of its subresource.

        `namespace` None: of all namespaces (lists only), or the kind has none.
        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [self.plural, *(part for part in (name, subresource) if part is not None)]
        return "/" + "/".join(quote(part, safe="") for part in parts)


GATEWAY = Kind(GROUP, "v1alpha1", "llmgateways", "LLMGateway")
PROVIDER = Kind(GROUP, "v1alpha1", "llmproviders", "LLMProvider")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE = Kind("", "v1", "services", "Service")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("", "v1", "events", "Event")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
AUTOSCALER = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

OWNED = (
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    SERVICE,
    DEPLOYMENT,
    AUTOSCALER,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
)
"""What a gateway's children are, in the order in which they are applied."""

ALL = (GATEWAY, PROVIDER, NAMESPACE, *OWNED, POD, EVENT, LEASE)

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind of an object, by its `apiVersion` and `kind`. Raises KeyError for one that is not in the table.

    Items of a list response carry neither: the Client writes both into each.
    """
    return _BY_NAME[obj["apiVersion"], obj["kind"]]
