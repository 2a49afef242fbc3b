"""`llm-gateway-operator run`: the operator in a cluster, from the first listing to the handing back of the Lease.

The order matters. Nothing is written before every kind was listed and the Lease is held. kopf cancels at its end what
was started after it, so the watches begin last. Whatever ends ends the process: it is started again, with an empty
memory, and comes to the same objects.
"""

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from llm_gateway_operator.admissions import Admissions
from llm_gateway_operator.cluster import Cluster, Subject, wall_clock
from llm_gateway_operator.confirm import Confirm, nobody_asked
from llm_gateway_operator.controller import Controller
from llm_gateway_operator.events import Recorder
from llm_gateway_operator.health import Heart, Signs, served
from llm_gateway_operator.known import Change
from llm_gateway_operator.kube.client import Client, connected
from llm_gateway_operator.kube.errors import KubeError
from llm_gateway_operator.kube.kinds import GATEWAY, PROVIDER, Json, Kind
from llm_gateway_operator.kube.lease import Elector, Place, Terms, end_process
from llm_gateway_operator.kube.scope import Scope, cluster_wide, in_namespaces
from llm_gateway_operator.kube.sweep import Sweeper
from llm_gateway_operator.kube.watch import watch
from llm_gateway_operator.metrics import Metrics
from llm_gateway_operator.queue import Queue
from llm_gateway_operator.render.intent import Installation
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_operator.store import Store

LEASE = "llm-gateway-operator"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """`namespaces` empty: the whole cluster. `port` 0: any that is free. `lost`: ends the process when the Lease is."""

    installation: Installation
    namespaces: tuple[str, ...] = ()
    host: str = "0.0.0.0"
    port: int = 8080
    terms: Terms = field(default_factory=Terms)
    lost: Callable[[str], None] = end_process
    confirm: Confirm = nobody_asked

    @property
    def scope(self) -> Scope:
        return in_namespaces(*self.namespaces) if self.namespaces else cluster_wide()


async def run(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Until `stop` is set, or SIGTERM or SIGINT comes. Raises KubeError when it has to be started again."""
    metrics = Metrics()
    async with connected(observe=metrics.attempt) as client:
        major, minor = await client.server_version()
        operator = Operator(settings, client, ServerVersion(major, minor), metrics)
        await operator.run(stop or asyncio.Event())


class Operator:
    """All parts of one process, joined."""

    def __init__(self, settings: Settings, client: Client, server: ServerVersion, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._store = Store(settings.scope.kinds)
        self._queue: Queue[Subject] = Queue()
        self._sweeper = Sweeper(client, settings.scope, self._store, self._changed)
        identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        place = Place(settings.installation.operator_namespace, LEASE, identity)
        self._elector = Elector(client, place, settings.terms, settings.lost)
        writer = client.fenced(self._elector.leading)
        self._controller = Controller(
            Cluster(
                client=writer,
                store=self._store,
                confirm=settings.confirm,
                installation=settings.installation,
                server=server,
                stir=self._queue.add,
                admissions=Admissions(),
                recorder=Recorder(writer, wall_clock),
            )
        )
        metrics.watch(self._queue)

    async def run(self, stop: asyncio.Event) -> None:
        heart = Heart()
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(
                served(self._settings.host, self._settings.port, lambda: self._signs(heart), self._exposition)
            )
            log.info("/healthz, /readyz and /metrics are on port %d", port)
            try:
                await _first_of(heart.beat(), self._sweeper.run(), self._lead(), self._watch(stop))
            finally:
                await self._elector.release()

    async def _lead(self) -> None:
        """A candidate lists and watches as the leader does, and so can begin at once."""
        await self._sweeper.seeded.wait()
        log.info("every kind is listed; waiting for the Lease")
        await self._elector.acquire()
        await _first_of(self._elector.hold(), self._queue.run(self._reconcile))

    async def _watch(self, stop: asyncio.Event) -> None:
        await watch(self._settings.scope, self._told, stop)
        log.info("the watches have ended")

    async def _reconcile(self, subject: Subject) -> float | None:
        try:
            again_after = await self._controller.reconcile(subject)
        except Exception:
            self._metrics.reconciled(subject.kind.kind, "failed")
            raise
        self._metrics.reconciled(subject.kind.kind, "done")
        return again_after

    def _told(self, kind: Kind, event_type: str | None, obj: Json) -> None:
        if event_type is None:
            self._sweeper.relisted(kind)
        change = self._store.put(kind, event_type, obj)
        if change is not None:
            self._changed(change)

    def _changed(self, change: Change) -> None:
        affected = self._store.affected(change)
        for gateway in affected.gateways:
            self._queue.add(Subject(GATEWAY, gateway))
        for provider in affected.providers:
            self._queue.add(Subject(PROVIDER, provider))

    def _signs(self, heart: Heart) -> Signs:
        now = asyncio.get_running_loop().time()
        sweeps = [self._sweeper.last_sweep(kind) for kind in self._settings.scope.kinds]
        ages = [now - each for each in sweeps if each is not None]
        # Who does not lead lets the queue wait.
        wait = self._queue.oldest_wait() if self._elector.leading() else 0.0
        return Signs(heart.lag(), wait, max(ages, default=None), self._store.seeded)

    def _exposition(self) -> bytes:
        return self._metrics.exposition(self._elector.leading(), self._store.seeded)


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends; the others are cancelled, and have ended when this returns. Raises what one of
    them raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        # A cancellation is no cause: kopf cancels what it finds when it ends for a reason of its own.
        if isinstance(end, Exception):
            raise end


def main(settings: Settings) -> int:
    """The exit code: 0 after a signal, 1 when it has to be started again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(run(settings))
    except (KubeError, OSError) as error:
        log.critical("the operator ends: %s", error)
        return 1
    return 0
