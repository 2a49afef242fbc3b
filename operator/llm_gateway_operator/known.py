"""One object as the store keeps it: without what nobody reads, and of a Secret never a value."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_gateway_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, POD, SECRET, SERVICE, Json, Kind
from llm_gateway_operator.objects import Key

# Holds the whole object, a Secret's values too.
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_UNREAD: Mapping[Kind, frozenset[str]] = {
    SECRET: frozenset({"data", "stringData"}),
    CONFIG_MAP: frozenset({"data", "binaryData"}),
    POD: frozenset({"spec"}),
}

# Set by the server at each write, or written by ourselves: no reason to look at an object again.
_BOOKKEEPING = frozenset({"resourceVersion", "generation", "managedFields"})

# Of these the status decides something: pods available, the URL, the addresses to ask.
_STATUS_COUNTS = frozenset({DEPLOYMENT, SERVICE, POD})


@dataclass(frozen=True, slots=True)
class Known:
    """`obj`: the object as the server sent it, but without

    - `metadata.managedFields` (Deployments keep them: they say which values others have set),
    - kubectl's last-applied annotation,
    - `data`, `binaryData` and `stringData` of Secrets and ConfigMaps,
    - `spec` of pods.

    `hashes`: for a Secret, the SHA-256 of each decoded value in hex, by key. `version`: the resourceVersion.
    `fingerprint`: hash of everything that somebody may have changed (data too) but the status; equal before and after
    a write of status or of server bookkeeping. A Namespace has the Key ("", NAME).
    """

    kind: Kind
    key: Key
    uid: str
    version: str
    fingerprint: str
    obj: Json = field(repr=False)
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("annotations") or {}

    @property
    def generation(self) -> int:
        return int(self.obj["metadata"].get("generation") or 0)

    @property
    def spec(self) -> Json:
        spec = self.obj.get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def status(self) -> Json:
        status = self.obj.get("status")
        return status if isinstance(status, dict) else {}

    @property
    def secret_type(self) -> str:
        """Of a Secret; `Opaque` when it says none."""
        return self.obj.get("type") or "Opaque"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object. `old` None: it is new; `new` None: it is gone. Both may have different uids, when
    an object was deleted and another made under its name."""

    kind: Kind
    key: Key
    old: Known | None
    new: Known | None

    @property
    def matters(self) -> bool:
        """False when nothing changed that anybody here reads: our own status writes, bookkeeping."""
        if self.old is None or self.new is None or self.old.fingerprint != self.new.fingerprint:
            return True
        return self.kind in _STATUS_COUNTS and self.old.status != self.new.status

    @property
    def states(self) -> Iterator[Known]:
        """The old and the new state, as far as there are."""
        return (state for state in (self.old, self.new) if state is not None)


def key_of(obj: Json) -> Key:
    meta = obj["metadata"]
    return Key(meta.get("namespace") or "", meta["name"])


def known(kind: Kind, obj: Json) -> Known:
    """`obj` is left as it is."""
    meta = _metadata(kind, obj["metadata"])
    return Known(
        kind=kind,
        key=key_of(obj),
        uid=meta["uid"],
        version=meta.get("resourceVersion", ""),
        fingerprint=_fingerprint(obj, meta),
        obj=_trimmed(kind, obj, meta),
        hashes=_hashes(obj.get("data") or {}) if kind == SECRET else {},
    )


def _metadata(kind: Kind, meta: Json) -> Json:
    kept = {name: value for name, value in meta.items() if name != "managedFields" or kind == DEPLOYMENT}
    annotations = kept.pop("annotations", None) or {}
    if rest := {name: value for name, value in annotations.items() if name != _LAST_APPLIED}:
        kept["annotations"] = rest
    return kept


def _trimmed(kind: Kind, obj: Json, meta: Json) -> Json:
    return {
        **{name: value for name, value in obj.items() if name not in _UNREAD.get(kind, ())},
        "metadata": meta,
    }


def _fingerprint(obj: Json, meta: Json) -> str:
    rest: dict[str, Any] = {name: value for name, value in obj.items() if name != "status"}
    rest["metadata"] = {name: value for name, value in meta.items() if name not in _BOOKKEEPING}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _hashes(data: Mapping[str, str]) -> Mapping[str, str]:
    return {name: hashlib.sha256(base64.b64decode(value)).hexdigest() for name, value in data.items()}
