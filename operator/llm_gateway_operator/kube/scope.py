"""What of the cluster is looked at: which kinds, in which namespaces, by which selectors.

Watches and sweeps ask here, so that a sweep never takes for deleted what its list was not to show.
"""

from dataclasses import dataclass

from llm_gateway_operator.kube.kinds import GATEWAY, NAMESPACE, OWNED, POD, PROVIDER, SECRET, Json, Kind
from llm_gateway_operator.render.metadata import MANAGED_BY

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
_OURS = f"{MANAGED_BY_LABEL}={MANAGED_BY}"

# Helm keeps whole releases in Secrets and clusters before 1.24 a token for each account: many, large, never used.
_SECRETS = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"


@dataclass(frozen=True, slots=True)
class Scope:
    """`namespaces` empty: the whole cluster.

    Namespaces themselves are of no namespace: reading them takes a ClusterRole. Their labels decide only about
    `allowedGateways.namespaces.from: Selector`, so an operator that has Roles alone leaves them out.
    """

    kinds: tuple[Kind, ...]
    namespaces: tuple[str, ...] = ()

    def places(self, kind: Kind) -> tuple[str | None, ...]:
        """The namespaces to list `kind` in, one request each; None is everywhere."""
        return self.namespaces if kind.namespaced and self.namespaces else (None,)


def cluster_wide() -> Scope:
    return Scope((GATEWAY, PROVIDER, NAMESPACE, *OWNED, POD))


def in_namespaces(*namespaces: str) -> Scope:
    return Scope((GATEWAY, PROVIDER, *OWNED, POD), namespaces)


def in_sight(kind: Kind, obj: Json) -> bool:
    """Whether an object that exists is shown by the watch of its kind: a label may have been taken away."""
    labels = obj["metadata"].get("labels") or {}
    return label_selector(kind) is None or labels.get(MANAGED_BY_LABEL) == MANAGED_BY


def label_selector(kind: Kind) -> str | None:
    """Secrets are watched whole: those of providers are other people's, and carry no label of ours."""
    return _OURS if kind in (*OWNED, POD) and kind != SECRET else None


def field_selector(kind: Kind) -> str | None:
    return _SECRETS if kind == SECRET else None
