"""Leader election by a Lease: of all operators of one cluster, one writes.

A candidate takes the Lease when it is free or has not changed for its whole duration, by the candidate's own
monotonic clock: clocks of other machines are compared with nothing. Every write carries the resourceVersion that was
read, so of two at once one gets a 409. The leader renews; when it could not for `renew_within`, which is shorter than
the duration, it ends the process before another can lead: a polite stop would go on writing meanwhile.
"""

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from llm_gateway_operator.kube.errors import ApiError, KubeError
from llm_gateway_operator.kube.kinds import LEASE, Json, Kind
from llm_gateway_operator.kube.watchdog import Watchdog

MANAGER = "llm-gateway-operator-lease"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. `renew_within` < `duration`; `retry` is the pause between two renewals or two looks."""

    duration: int = 15
    renew_within: float = 10.0
    retry: float = 2.0

    @property
    def request_limit(self) -> float:
        return min(5.0, self.renew_within / 2)


@dataclass(frozen=True, slots=True)
class Place:
    """The Lease object, and who is asking for it. `identity` is new for each process: POD_RANDOM."""

    namespace: str
    name: str
    identity: str


class Leases(Protocol):
    """What is used of Client; it must not be a fenced one."""

    async def get(self, kind: Kind, namespace: str | None, name: str, limit: float) -> Json | None: ...
    async def create(self, obj: Json, manager: str, limit: float) -> Json: ...
    async def replace(self, obj: Json, manager: str, limit: float) -> Json: ...


def end_process(reason: str) -> None:
    """Without cleaning up: nothing of this process may write any more."""
    log.critical("leadership is lost, the process ends: %s", reason)
    logging.shutdown()
    os._exit(1)


class Elector:
    """`await acquire()`, then keep `hold()` running as a task, at the end `await release()`.

    `lost(reason)` is called at most once, possibly from another thread, and should not return to work.
    `clock`: monotonic seconds.
    """

    def __init__(
        self,
        leases: Leases,
        place: Place,
        terms: Terms,
        lost: Callable[[str], None] = end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._place = place
        self._terms = terms
        self._lost = lost
        self._clock = clock
        self._ours: Json | None = None
        self._valid_until = float("-inf")
        self._seen: tuple[str, float] | None = None  # resourceVersion of another's Lease, and since when
        self._watchdog: Watchdog | None = None
        self._giving_up = threading.Lock()
        self._gave_up = False

    def leading(self) -> bool:
        """Whether this process may write at this moment, by the last renewal that succeeded and the clock alone.

        Cheap and good from any thread: the fence of a Client.
        """
        return not self._gave_up and self._clock() < self._valid_until

    def renewed_until(self) -> float:
        """The moment on `clock` at which leadership ends unless it is renewed; -inf when it was never had."""
        return self._valid_until

    async def acquire(self) -> None:
        """Waits until this process leads. Errors of the API server are logged and waited out."""
        while not await self._tried(self._take):
            await self._pause()
        self._watchdog = Watchdog(lambda: not self.leading(), self._expired)
        self._watchdog.start()
        log.info("%s leads: it holds the Lease %s", self._place.identity, self._place.name)

    async def hold(self) -> None:
        """Renews for ever; returns only after `lost` was called."""
        while self.leading():
            await self._pause()
            if self.leading() and await self._tried(self._renew) is False:
                return self._give_up("another one holds the Lease")
        self._expired()

    async def release(self) -> None:
        """Hands the Lease back, so that the next one need not wait for it to expire. Call it after `hold` was
        cancelled and everything that writes has ended. Errors are logged: the Lease then expires by itself."""
        self._valid_until = float("-inf")
        if self._watchdog is not None:
            self._watchdog.stop()
        await self._tried(self._free)

    async def _take(self) -> bool:
        began = self._clock()
        found = await self._read()
        try:
            if found is None:
                return self._own(await self._leases.create(self._record(None), MANAGER, self._limit()), began)
            if not (_holder(found) in ("", self._place.identity) or self._expired_for(found)):
                return False
            return self._own(await self._write(self._record(found)), began)
        except ApiError as error:
            if error.conflict:  # another candidate was quicker
                return False
            raise

    async def _renew(self) -> bool:
        """Without reading first: as long as nobody else writes, the resourceVersion is known."""
        assert self._ours is not None
        began = self._clock()
        try:
            return self._own(await self._write(self._record(self._ours)), began)
        except ApiError as error:
            if not error.conflict and not error.not_found:
                raise
        # Another's write, or one of our own whose answer was lost, or the Lease was deleted.
        return await self._take()

    async def _free(self) -> bool:
        found = await self._read()
        if found is None or _holder(found) != self._place.identity:
            return False
        spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        await self._write({**found, "spec": spec})
        return True

    def _own(self, lease: Json, began: float) -> bool:
        self._ours = lease
        # From before the request: the server may have stored it at any moment since then.
        self._valid_until = began + self._terms.renew_within
        return True

    def _expired_for(self, lease: Json) -> bool:
        """Whether another's Lease has stood unchanged for its whole duration. It is looked at every `retry`."""
        version, now = lease["metadata"]["resourceVersion"], self._clock()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
        duration = lease["spec"].get("leaseDurationSeconds") or self._terms.duration
        return now >= self._seen[1] + duration

    def _record(self, before: Json | None) -> Json:
        """The Lease as we want it, in place of `before`, whose resourceVersion it keeps."""
        meta = {"namespace": self._place.namespace, "name": self._place.name}
        spec = dict((before or {}).get("spec") or {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._place.identity:
            spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + (before is not None)
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": self._place.identity,
            "leaseDurationSeconds": self._terms.duration,
            "renewTime": now,
        }
        head = {"apiVersion": LEASE.api_version, "kind": LEASE.kind}
        return {**head, "metadata": before["metadata"] if before else meta, "spec": spec}

    async def _read(self) -> Json | None:
        return await self._leases.get(LEASE, self._place.namespace, self._place.name, self._limit())

    async def _write(self, lease: Json) -> Json:
        return await self._leases.replace(lease, MANAGER, self._limit())

    async def _tried(self, step: Callable[[], Awaitable[bool]]) -> bool | None:
        """None: nobody knows, because the API server did not answer or refused to say."""
        try:
            return await step()
        except KubeError as error:
            log.warning("Lease %s: %s", self._place.name, error)
            return None

    async def _pause(self) -> None:
        # Jitter only shortens; without it candidates would stay in step. A leader wakes at its deadline at the latest.
        pause = self._terms.retry * (1 - 0.2 * random.random())
        await asyncio.sleep(min(pause, self._left()) if self.leading() else pause)

    def _left(self) -> float:
        return max(self._valid_until - self._clock(), 0.0)

    def _limit(self) -> float:
        """Seconds for one request: none outlasts the leadership it is to renew."""
        most = self._terms.request_limit
        return min(most, self._left()) if self.leading() else most

    def _expired(self) -> None:
        self._give_up("the Lease could not be renewed in time")

    def _give_up(self, reason: str) -> None:
        """At most once; the watchdog's thread and `hold` may both come here."""
        with self._giving_up:
            first, self._gave_up = not self._gave_up, True
        self._valid_until = float("-inf")
        if first:
            self._lost(reason)


def _holder(lease: Json) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""
