"""What is known of the cluster: fed by watches and sweeps, asked by whoever reconciles.

Plain data in one process; nothing here waits, so what is asked without an `await` in between belongs to one moment.
Watches and sweeps overlap and repeat each other: the newer resourceVersion wins, and a deletion is remembered, so that
a list that is older than it does not bring the object back.

Once `seeded`, absence is reliable: the watch has told the deletion, or a sweep missed the object and a GET confirmed
it; it is never concluded from a list alone. But owned kinds other than Secrets are watched by our label: one whose
label was taken away is absent here and may well exist.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TypeVar

from llm_gateway_operator.known import Change, Known, key_of, known
from llm_gateway_operator.kube.kinds import GATEWAY, NAMESPACE, POD, PROVIDER, SECRET, Json, Kind
from llm_gateway_operator.mentions import Mentions, mentions
from llm_gateway_operator.objects import Key
from llm_gateway_operator.render.metadata import OWNER_LABEL

_DELETIONS_REMEMBERED = 8192  # more than are deleted while one list is under way

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Affected:
    """Whom a change concerns: LLMGateways to reconcile, and LLMProviders whose status may have to change."""

    gateways: frozenset[Key] = frozenset()
    providers: frozenset[Key] = frozenset()

    def __or__(self, other: "Affected") -> "Affected":
        return Affected(self.gateways | other.gateways, self.providers | other.providers)


@dataclass(frozen=True, slots=True)
class GatewayView:
    """One gateway and all that is known about what it depends on.

    `providers`: its candidates: those of its namespace that it selects or names in `providers.refs`, and those of
    other namespaces that it names, whether they consent or not. `missing_providers`: named in `providers.refs`, and
    not there. `secrets`, `missing_secrets`: the same for what the gateway and its candidates refer to. A value has to
    be read from the API server, which may know more by then.
    `namespace_labels`: None when namespaces are not watched or this one is not known.
    `children`: objects of owned kinds whose controller is this very gateway (by uid). `pods`: by label.
    """

    gateway: Known
    providers: Mapping[Key, Known]
    missing_providers: frozenset[Key]
    secrets: Mapping[Key, Known]
    missing_secrets: frozenset[Key]
    namespace_labels: Mapping[str, str] | None
    children: tuple[Known, ...]
    pods: tuple[Known, ...]


class Store:
    """`kinds`: what is to be listed before anything may be published, as Scope has them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._unlisted = set(kinds)
        self._objects: defaultdict[Kind, dict[Key, Known]] = defaultdict(dict)
        self._mentions: dict[tuple[Kind, Key], Mentions] = {}
        self._by_namespace: defaultdict[tuple[Kind, str], set[Key]] = defaultdict(set)
        self._secret_users: defaultdict[Key, set[tuple[Kind, Key]]] = defaultdict(set)
        self._remote_users: defaultdict[Key, set[Key]] = defaultdict(set)
        self._children: defaultdict[str, set[tuple[Kind, Key]]] = defaultdict(set)
        self._pods: defaultdict[Key, set[Key]] = defaultdict(set)
        self._deleted: OrderedDict[str, str | None] = OrderedDict()

    # --- seeding

    @property
    def seeded(self) -> bool:
        """Whether every kind was listed at least once. Until then the store may lack objects that exist: nothing
        may be rendered, applied or pruned from it."""
        return not self._unlisted

    @property
    def unlisted(self) -> frozenset[Kind]:
        """The kinds that `seeded` still waits for."""
        return frozenset(self._unlisted)

    def listed(self, kind: Kind) -> None:
        """Says that all objects of `kind` were put in."""
        self._unlisted.discard(kind)

    # --- feeding

    def put(self, kind: Kind, event_type: str | None, obj: Json) -> Change | None:
        """Takes in what a watch told (its event type) or a list or GET showed (None). None: nothing new in it.

        The resourceVersions of one kind are compared as numbers: the API declares this since Kubernetes 1.35, and
        has always numbered them by etcd's revision.
        """
        meta = obj["metadata"]
        uid, version, key = meta["uid"], meta.get("resourceVersion", ""), key_of(obj)
        old = self._objects[kind].get(key)
        if event_type == "DELETED":
            self._remember_deletion(uid, version)
            return self._swap(kind, key, old, None) if old is not None and old.uid == uid else None
        if uid in self._deleted:
            deleted = self._deleted[uid]
            if deleted is None or not _newer(version, deleted):
                return None
        if old is not None and not _newer(version, old.version):
            return None
        return self._swap(kind, key, old, known(kind, obj))

    def gone(self, missing: Known) -> Change | None:
        """Takes in that `missing` was asked for and is not there. None: that was known, or another has its name."""
        self._remember_deletion(missing.uid, None)
        old = self._objects[missing.kind].get(missing.key)
        if old is None or old.uid != missing.uid:
            return None
        return self._swap(missing.kind, missing.key, old, None)

    # --- asking

    def get(self, kind: Kind, key: Key) -> Known | None:
        return self._objects[kind].get(key)

    def all(self, kind: Kind) -> tuple[Known, ...]:
        """All that are known of `kind`, by namespace and name."""
        return tuple(each for _, each in sorted(self._objects[kind].items()))

    def gateways(self) -> tuple[Known, ...]:
        return self.all(GATEWAY)

    def view(self, gateway: Key) -> GatewayView | None:
        """The gateway and what it depends on, as of now; None when it is not known."""
        found = self.get(GATEWAY, gateway)
        if found is None:
            return None
        names = self._mentions[GATEWAY, gateway]
        providers = {each.key: each for each in self._candidates(gateway, names)}
        wanted = names.secrets.union(*(self._mentions[PROVIDER, key].secrets for key in providers))
        secrets = {key: secret for key in sorted(wanted) if (secret := self.get(SECRET, key))}
        namespace = self.get(NAMESPACE, Key("", gateway.namespace))
        return GatewayView(
            gateway=found,
            providers=providers,
            missing_providers=(names.refs | names.remote) - providers.keys(),
            secrets=secrets,
            missing_secrets=wanted - secrets.keys(),
            namespace_labels=namespace.labels if namespace else None,
            children=self._sorted(self._children.get(found.uid, ())),
            pods=self._sorted((POD, key) for key in self._pods.get(gateway, ())),
        )

    def gateways_of(self, provider: Key) -> frozenset[Key]:
        """The gateways that have this provider among their candidates; empty when it is not known."""
        found = self.get(PROVIDER, provider)
        return self._gateways_with(found, Mentions.selects) if found else frozenset()

    def secret_hashes(self, secret: Key) -> Mapping[str, str] | None:
        """SHA-256 in hex of each value of a Secret, by key; None when the Secret is not known."""
        found = self.get(SECRET, secret)
        return found.hashes if found else None

    def affected(self, change: Change) -> Affected:
        """Whom a change that was just put in concerns, by the old state and the new one.

        A provider that lost the label by which a gateway selected it concerns that gateway; a Secret concerns all
        gateways of all providers that name it, also those for which it was missing; a child concerns its owner.
        Empty for changes that do not matter: status written by ourselves, bookkeeping.
        """
        if not change.matters:
            return Affected()
        if change.kind == GATEWAY:
            return self._by_gateway(change)
        if change.kind == PROVIDER:
            return self._by_provider(change)
        if change.kind == NAMESPACE:
            return self._by_namespace_labels(change)
        owners = frozenset(owner for state in change.states if (owner := _owner(state)))
        return Affected(owners) | (self._by_secret(change) if change.kind == SECRET else Affected())

    # --- inside

    def _by_gateway(self, change: Change) -> Affected:
        """The providers too, of before and of now: each says in its status which gateways serve it."""
        providers = (
            provider.key
            for state in change.states
            for provider in self._candidates(state.key, mentions(state))
        )
        return Affected(frozenset([change.key]), frozenset(providers))

    def _by_provider(self, change: Change) -> Affected:
        """Also gateways that only have it as a target: what they say of that target may be another thing now."""
        concerned = frozenset[Key]().union(*(self._gateways_with(state, _aims_at) for state in change.states))
        return Affected(concerned, frozenset([change.key]))

    def _by_secret(self, change: Change) -> Affected:
        affected = Affected()
        for kind, key in self._secret_users.get(change.key, ()):
            if kind == GATEWAY:
                affected |= Affected(gateways=frozenset([key]))
            else:
                affected |= Affected(self.gateways_of(key), frozenset([key]))
        return affected

    def _by_namespace_labels(self, change: Change) -> Affected:
        """They decide whether providers elsewhere consent to the gateways of this namespace."""
        here: Set[Key] = self._by_namespace.get((GATEWAY, change.key.name), frozenset())
        gateways = frozenset(key for key in here if self._mentions[GATEWAY, key].remote)
        providers = (key for gateway in gateways for key in self._mentions[GATEWAY, gateway].remote)
        return Affected(gateways, frozenset(providers))

    def _candidates(self, gateway: Key, names: Mentions) -> Iterator[Known]:
        here: Set[Key] = self._by_namespace.get((PROVIDER, gateway.namespace), frozenset())
        # Only a selector makes it necessary to look at them all.
        keys = (here if names.selector is not None else names.refs) | names.remote
        for key in sorted(keys):
            provider = self.get(PROVIDER, key)
            if provider is not None and names.selects(provider):
                yield provider

    def _gateways_with(self, provider: Known, wanted: Callable[[Mentions, Known], bool]) -> frozenset[Key]:
        here: Set[Key] = self._by_namespace.get((GATEWAY, provider.key.namespace), frozenset())
        near = (key for key in here if wanted(self._mentions[GATEWAY, key], provider))
        return frozenset(near) | self._remote_users.get(provider.key, frozenset())

    def _sorted(self, children: Iterable[tuple[Kind, Key]]) -> tuple[Known, ...]:
        return tuple(self._objects[kind][key] for kind, key in sorted(children))

    def _swap(self, kind: Kind, key: Key, old: Known | None, new: Known | None) -> Change:
        if old is not None:
            self._unlink(old)
            del self._objects[kind][key]
        if new is not None:
            self._objects[kind][key] = new
            self._link(new)
        return Change(kind, key, old, new)

    def _link(self, new: Known) -> None:
        entry = (new.kind, new.key)
        if new.kind in (GATEWAY, PROVIDER):
            names = self._mentions[entry] = mentions(new)
            self._by_namespace[new.kind, new.key.namespace].add(new.key)
            for secret in names.secrets:
                self._secret_users[secret].add(entry)
            for provider in names.remote:
                self._remote_users[provider].add(new.key)
        elif new.kind == POD:
            if owner := _owner(new):
                self._pods[owner].add(new.key)
        elif reference := _controller(new):
            self._children[reference["uid"]].add(entry)

    def _unlink(self, old: Known) -> None:
        entry = (old.kind, old.key)
        if old.kind in (GATEWAY, PROVIDER):
            names = self._mentions.pop(entry)
            _drop(self._by_namespace, (old.kind, old.key.namespace), old.key)
            for secret in names.secrets:
                _drop(self._secret_users, secret, entry)
            for provider in names.remote:
                _drop(self._remote_users, provider, old.key)
        elif old.kind == POD:
            if owner := _owner(old):
                _drop(self._pods, owner, old.key)
        elif reference := _controller(old):
            _drop(self._children, reference["uid"], entry)

    def _remember_deletion(self, uid: str, version: str | None) -> None:
        """`version` None: for ever. Else an object that only went out of sight may come back, as a newer one."""
        self._deleted[uid] = version
        self._deleted.move_to_end(uid)
        if len(self._deleted) > _DELETIONS_REMEMBERED:
            self._deleted.popitem(last=False)


def _aims_at(names: Mentions, provider: Known) -> bool:
    return provider.key in names.targets or names.selects(provider)


def _owner(state: Known) -> Key | None:
    """The gateway that a child or pod belongs to."""
    if state.kind == POD:
        name = state.labels.get(OWNER_LABEL)
        return Key(state.key.namespace, name) if name else None
    reference = _controller(state)
    return Key(state.key.namespace, reference["name"]) if reference else None


def _controller(state: Known) -> Json | None:
    for reference in state.obj["metadata"].get("ownerReferences") or ():
        ours = reference.get("kind") == GATEWAY.kind and reference["apiVersion"].startswith(
            f"{GATEWAY.group}/"
        )
        if ours and reference.get("controller"):
            return dict(reference)
    return None


def _newer(version: str, than: str) -> bool:
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


def _drop(index: dict[_K, set[_V]], name: _K, value: _V) -> None:
    """An index holds no empty sets: names come and go for ever."""
    index[name].discard(value)
    if not index[name]:
        del index[name]
