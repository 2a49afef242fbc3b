"""Which lists of pods are maps, and by what their entries are told apart.

From the `x-kubernetes-list-map-keys` of Kubernetes' API: server-side apply merges these lists entry by entry and
owns every other list as a whole.
"""

from collections.abc import Mapping
from typing import Any

_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
# What the API server puts in for an absent key.
_ABSENT: Mapping[str, str] = {"protocol": "TCP"}


def keys_of(field: str) -> tuple[str, ...]:
    """The keys of the list `field`; none when it is owned as a whole."""
    return _KEYS.get(field, ())


def same_entry(field: str, one: object, other: object) -> bool:
    """Whether both are the same entry of the list `field`. Ports are the same by their name, too."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    if field == "ports" and one.get("name") is not None and one.get("name") == other.get("name"):
        return True
    return all(
        _key(one, name) is not None and _key(one, name) == _key(other, name) for name in keys_of(field)
    )


def _key(entry: Mapping[str, Any], name: str) -> Any:
    return entry.get(name, _ABSENT.get(name))
