"""Lists every kind from time to time: what seeds the store, and what finds deletions that a watch missed.

After a 410 and other restarts of a watch, what was deleted meanwhile is never told. So each kind is listed at the
start, again 30 s later, every 10 minutes, and some seconds after its watch had to list anew. What was known before and
is not in the list is asked for by itself: a list may be older than what a watch has told already.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from llm_gateway_operator.known import Change, Known
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.errors import KubeError
from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.kube.scope import Scope, field_selector, in_sight, label_selector
from llm_gateway_operator.store import Store

_FIRST_RETRY = 1.0  # seconds
_LAST_RETRY = 30.0
_AT_ONCE = 3  # kinds being listed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds. `usual` is varied by a tenth, so that kinds do not meet for ever."""

    second: float = 30.0
    usual: float = 600.0
    after_relist: float = 5.0


_RHYTHM = Rhythm()


class Sweeper:
    """`await run()` as a task; `seeded` is set when every kind of `scope` was listed once, and never cleared.

    All that is found goes into `store` and, where it was news, to `changed`: the same path as for a watch's events,
    in the event loop, and it must return at once.
    """

    def __init__(
        self,
        client: Client,
        scope: Scope,
        store: Store,
        changed: Callable[[Change], None],
        rhythm: Rhythm = _RHYTHM,
    ) -> None:
        self.seeded = asyncio.Event()
        self._client = client
        self._scope = scope
        self._store = store
        self._changed = changed
        self._rhythm = rhythm
        self._relisted = {kind: asyncio.Event() for kind in scope.kinds}
        self._swept: dict[Kind, float] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def relisted(self, kind: Kind) -> None:
        """To be called for each event of type None: a watch listed anew, so deletions may be missing."""
        self._relisted[kind].set()

    def last_sweep(self, kind: Kind) -> float | None:
        """When the last whole sweep of `kind` ended, on the event loop's clock; None: there was none yet.

        For /healthz: an old one means that the API server does not let itself be listed.
        """
        return self._swept.get(kind)

    async def run(self) -> None:
        """For ever; errors of the API server are logged and tried again after 1 to 30 s."""
        async with asyncio.TaskGroup() as group:
            for kind in self._scope.kinds:
                group.create_task(self._keep(kind), name=f"sweep {kind}")

    async def sweep(self, kind: Kind) -> None:
        """Lists one kind everywhere in scope, and asks for what was known before and is not in the lists.

        Raises KubeError; then nothing is taken for deleted, and what was seen of the list stays in the store.
        """
        before = self._store.all(kind)
        seen: set[str] = set()
        for namespace in self._scope.places(kind):
            pages = self._client.list_pages(kind, namespace, label_selector(kind), field_selector(kind))
            async for page in pages:
                for obj in page.items:
                    seen.add(obj["metadata"]["uid"])
                    self._put(kind, None, obj)
        for known in before:
            if known.uid not in seen:
                await self._ask_for(known)
        self._store.listed(kind)
        self._swept[kind] = asyncio.get_running_loop().time()
        if self._store.seeded:
            self.seeded.set()

    async def _keep(self, kind: Kind) -> None:
        failures = 0
        pause = self._rhythm.second
        while True:
            self._relisted[kind].clear()
            try:
                async with self._slots:
                    await self.sweep(kind)
            except KubeError as error:
                log.warning("%s could not be swept: %s", kind, error)
                await asyncio.sleep(
                    min(_FIRST_RETRY * 2.0**failures, _LAST_RETRY) * (0.8 + 0.4 * random.random())
                )
                failures = min(failures + 1, 10)
                continue
            failures = 0
            await self._wait(kind, pause)
            pause = self._rhythm.usual * (0.9 + 0.2 * random.random())

    async def _wait(self, kind: Kind, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._relisted[kind].wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._rhythm.after_relist)

    async def _ask_for(self, known: Known) -> None:
        """Deleted, out of our sight, or there all the same and the list was old."""
        found = await self._client.get(known.kind, known.key.namespace or None, known.key.name)
        if found is None or found["metadata"]["uid"] != known.uid:
            change = self._store.gone(known)
            if change is not None:
                log.info("%s %s was deleted without a word from the watch", known.kind, known.key)
                self._changed(change)
        else:
            self._put(known.kind, None if in_sight(known.kind, found) else "DELETED", found)

    def _put(self, kind: Kind, event_type: str | None, obj: Json) -> None:
        change = self._store.put(kind, event_type, obj)
        if change is not None:
            self._changed(change)
