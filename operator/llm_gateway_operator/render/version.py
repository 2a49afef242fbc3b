"""Which fields an API server knows. Kubernetes 1.25 is the floor; what is newer is asked for here, by its version."""

import re
from dataclasses import dataclass
from typing import Self

_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)([+.-].*)?")


@dataclass(frozen=True, slots=True, order=True)
class ServerVersion:
    """Major and minor version. Each property is a field, from the first version that has it switched on."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`1.34`, `v1.34.4`, `1.34+` (as `MAJOR.MINOR` of `/version`). ValueError with a whole sentence otherwise."""
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ValueError(f"must be a version of Kubernetes like 1.34, is {text!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def has_sleep(self) -> bool:
        """`lifecycle.preStop.sleep` of a container."""
        return self >= ServerVersion(1, 30)

    @property
    def has_match_label_keys(self) -> bool:
        """`matchLabelKeys` of a topology spread constraint."""
        return self >= ServerVersion(1, 27)

    @property
    def has_unhealthy_pod_eviction_policy(self) -> bool:
        """`unhealthyPodEvictionPolicy` of a PodDisruptionBudget."""
        return self >= ServerVersion(1, 27)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"
