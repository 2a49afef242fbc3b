"""Writes the rendered objects of one gateway, and nothing that stands already.

Server-side apply with one constant field manager and force: the objects are ours. Three exceptions: an object of our
name that is not ours is never touched; a default yields to another manager's value (`yielding`); the number of pods
is handed over when an autoscaler takes it, since a field that its only owner leaves out falls back to 1.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from llm_gateway_operator.applied import Applied, Refusal
from llm_gateway_operator.known import Known, known
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.errors import ApiError, KubeError
from llm_gateway_operator.kube.kinds import AUTOSCALER, DEPLOYMENT, Json, Kind, kind_of
from llm_gateway_operator.kube.retry import worth_another
from llm_gateway_operator.objects import Key
from llm_gateway_operator.ownership import Standing, is_rendered, standing
from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.defaults import path_text
from llm_gateway_operator.store import GatewayView, Store
from llm_gateway_operator.yielding import HANDOVER, MANAGER, REPLICAS, owned_by_us_alone, yielded

# Seconds for which an object is believed to stand as applied as long as nobody changes it.
_BELIEVED = 1800.0
_ATTEMPTS = 4

_REFUSALS = frozenset({400, 413, 422})


class Leftover(KubeError):
    """Objects of a deleted gateway of the same name have not been collected yet."""


class Interfered(KubeError):
    """Somebody changed an object again and again while it was being written."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What was applied, and how the object stood afterwards."""

    digest: str
    fingerprint: str
    overridden: tuple[str, ...]
    until: float


@dataclass(slots=True)
class _Owner:
    name: str
    uid: str
    entries: dict[tuple[Kind, str], _Entry] = field(default_factory=dict)


class Applier:
    """`clock`: monotonic seconds. Not for two calls at once for one gateway."""

    def __init__(self, client: Client, store: Store, clock: Callable[[], float]) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._owners: dict[Key, _Owner] = {}

    async def apply(self, view: GatewayView, children: Sequence[Child]) -> Applied:
        """`children` in order; what the gateway owns beside them goes first. Raises KubeError when it could not be
        done now; what was written until then stays, and the next call goes on."""
        owner = self._owner(view.gateway)
        if conflicts := [each async for each in self._foreign(owner, children)]:
            return Applied(conflicts=tuple(conflicts))
        await self._prune(owner, view, children)
        refusals: list[Refusal] = []
        overridden: list[str] = []
        for child in children:
            try:
                overridden += await self._stand(owner, child, children)
            except ApiError as error:
                if not _is_refusal(error):
                    raise
                kind = kind_of(child.object)
                refusals.append(Refusal(kind, child.object["metadata"]["name"], error.message))
        return Applied(refusals=tuple(refusals), overridden=tuple(overridden))

    def forget(self, gateway: Key) -> None:
        self._owners.pop(gateway, None)

    def _owner(self, gateway: Known) -> _Owner:
        owner = self._owners.get(gateway.key)
        if owner is None or owner.uid != gateway.uid:
            owner = self._owners[gateway.key] = _Owner(gateway.key.name, gateway.uid)
        return owner

    async def _foreign(self, owner: _Owner, children: Iterable[Child]) -> AsyncIterator[str]:
        """Before anything is written: an autoscaler of ours must not be aimed at another's Deployment."""
        for child in children:
            kind, key = _place(child)
            seen = self._store.get(kind, key)
            if seen is not None and standing(seen.obj, owner.name, owner.uid) is Standing.OURS:
                continue
            live = await self._client.get(kind, key.namespace, key.name)
            if live is not None and self._judged(live, owner) is Standing.FOREIGN:
                yield f"{kind.kind} {key.name}"

    def _judged(self, live: Json, owner: _Owner) -> Standing:
        verdict = standing(live, owner.name, owner.uid)
        if verdict is Standing.LEFTOVER:
            raise Leftover(f"{live['kind']} {live['metadata']['name']} is still that of a deleted gateway")
        return verdict

    async def _prune(self, owner: _Owner, view: GatewayView, children: Iterable[Child]) -> None:
        """Before the others: an autoscaler that is to go would fight about the number of pods."""
        wanted = {_place(child) for child in children}
        for child in view.children:
            if (child.kind, child.key) not in wanted and is_rendered(child.obj, owner.name):
                await self._client.delete(child.kind, child.key.namespace, child.key.name, child.uid)

    async def _stand(self, owner: _Owner, child: Child, children: Iterable[Child]) -> tuple[str, ...]:
        """What is overridden in `child`, which stands as rendered afterwards."""
        kind, key = _place(child)
        digest = _digest(child)
        entry, seen = owner.entries.get((kind, key.name)), self._store.get(kind, key)
        if (
            entry is not None
            and seen is not None
            and (entry.digest, entry.fingerprint) == (digest, seen.fingerprint)
            and self._clock() < entry.until
        ):
            return entry.overridden
        written, overridden = await self._write(owner, child, _first_size(child, children))
        fingerprint = known(kind, written).fingerprint
        until = self._clock() + _BELIEVED
        owner.entries[kind, key.name] = _Entry(digest, fingerprint, overridden, until)
        return overridden

    async def _write(
        self, owner: _Owner, child: Child, first_size: int | None
    ) -> tuple[Json, tuple[str, ...]]:
        """Each attempt is for the very state that was looked at: what others do in between is not undone unseen."""
        kind, key = _place(child)
        for _ in range(_ATTEMPTS):
            live = await self._client.get(kind, key.namespace, key.name)
            if live is not None and self._judged(live, owner) is Standing.FOREIGN:
                break
            try:
                if live is None:
                    live = await self._create(child, first_size)
                    if first_size is None:
                        return live, ()
                return await self._update(child, live)
            except ApiError as error:
                if not error.conflict:
                    raise
        raise Interfered(f"{kind.kind} {key}: changed by others while it was being applied")

    async def _create(self, child: Child, first_size: int | None) -> Json:
        """Without force: should another make an object of this name at this moment, it stays as it is."""
        obj = child.object
        if first_size is not None:
            obj = {**obj, "spec": {**obj["spec"], "replicas": first_size}}
        return self._learned(await self._client.apply(obj, MANAGER, force=False))

    async def _update(self, child: Child, live: Json) -> tuple[Json, tuple[str, ...]]:
        obj, dropped = yielded(child, live)
        if (
            kind_of(obj) == DEPLOYMENT
            and "replicas" not in child.object["spec"]
            and owned_by_us_alone(live, REPLICAS)
        ):
            live = await self._hand_over(live)
        metadata = {**obj["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        applied = self._learned(await self._client.apply({**obj, "metadata": metadata}, MANAGER))
        kind = kind_of(obj).kind
        return applied, tuple(f"{kind} {path_text(path)}" for path in dropped)

    async def _hand_over(self, live: Json) -> Json:
        """The number of pods as it is now gets a second owner, until the autoscaler writes its own."""
        meta = live["metadata"]
        number: Json = {
            "apiVersion": live["apiVersion"],
            "kind": live["kind"],
            "metadata": {name: meta[name] for name in ("name", "namespace", "resourceVersion")},
            "spec": {"replicas": live["spec"]["replicas"]},
        }
        return await self._client.apply(number, HANDOVER)

    def _learned(self, obj: Json) -> Json:
        """Our own write is no news when the watch tells it."""
        self._store.put(kind_of(obj), None, obj)
        return obj


def _place(child: Child) -> tuple[Kind, Key]:
    meta = child.object["metadata"]
    return kind_of(child.object), Key(meta["namespace"], meta["name"])


def _digest(child: Child) -> str:
    text = json.dumps([child.object, child.defaults], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _first_size(child: Child, children: Iterable[Child]) -> int | None:
    """The pods that a new Deployment begins with when an autoscaler will set their number: its least, not 1."""
    if kind_of(child.object) != DEPLOYMENT:
        return None
    scalers = (each.object for each in children if kind_of(each.object) == AUTOSCALER)
    return next((int(each["spec"]["minReplicas"]) for each in scalers), None)


def _is_refusal(error: ApiError) -> bool:
    """A field that the schema does not know is answered with a 500, which is not worth another attempt."""
    unknown_field = error.status == 500 and not worth_another(error, repeatable=True)
    return error.status in _REFUSALS or unknown_field
