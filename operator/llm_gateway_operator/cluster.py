"""What reconciling works with, and the one place that writes a status."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from llm_gateway_operator.admissions import Admissions
from llm_gateway_operator.confirm import Confirm
from llm_gateway_operator.events import Recorder, transitions
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.errors import ApiError
from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.objects import Key
from llm_gateway_operator.render.intent import Installation
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_operator.store import Store
from llm_gateway_operator.yielding import MANAGER

# Seconds until an object is looked at although nothing has happened; by chance, so that not all meet.
_RESYNC = (1800.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the queue holds: an LLMGateway or an LLMProvider."""

    kind: Kind
    key: Key

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.key}"


class Outdated(ApiError):
    """A status was not written: the object has moved on, and the watch will tell how."""


def wall_clock() -> str:
    """RFC 3339, as `metav1.Time` has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Cluster:
    """`stir` asks for another look at an object. `clock`: monotonic seconds; `now`: RFC 3339."""

    client: Client
    store: Store
    confirm: Confirm
    installation: Installation
    server: ServerVersion
    stir: Callable[[Subject], None]
    admissions: Admissions
    recorder: Recorder
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], str] = wall_clock

    async def write_status(self, about: Known, status: Json) -> None:
        """Writes what of `status` differs from that of `about`, which is the newest in the store, and nothing if all
        is equal. Raises Outdated."""
        before = about.status
        patch = {name: value for name, value in status.items() if before.get(name) != value}
        if not patch:
            return
        namespace, name = about.key.namespace, about.key.name
        try:
            written = await self.client.patch_status(
                about.kind, namespace, name, patch, about.version, MANAGER
            )
        except ApiError as error:
            if error.conflict:
                raise Outdated("status", error.status, error.reason, error.message) from error
            raise
        self.store.put(about.kind, None, written)
        await self.recorder.record(about, [*transitions(before, {**before, **status})])

    def resync(self) -> float:
        first, last = _RESYNC
        return first + (last - first) * random.random()
