"""Events on our objects: one for each thing worth telling, counted when it happens again.

Told are transitions of conditions and publications, never a state that goes on.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llm_gateway_operator.api.conditions import ConditionType, Reason
from llm_gateway_operator.api.status import Truth
from llm_gateway_operator.conditions import condition
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.client import Client
from llm_gateway_operator.kube.errors import KubeError, NotLeading
from llm_gateway_operator.kube.kinds import EVENT, Json
from llm_gateway_operator.yielding import MANAGER

_COUNTED = 4096  # events whose number is remembered
_LONGEST = 1000  # characters; the API takes 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(before: Json, after: Json) -> Iterator[Told]:
    """What happened between two statuses of one object."""
    old, new = before.get("conditions") or (), after.get("conditions") or ()
    for each in new:
        if _moved(condition(old, each["type"]), each) and (told := _told(each)):
            yield told
    if after.get("revision") and after["revision"] != before.get("revision"):
        yield Told("Normal", "Published", f"revision {after['revision']} was published")


def _moved(old: Json | None, new: Json) -> bool:
    return old is None or (old["status"], old["reason"]) != (new["status"], new["reason"])


def _told(said: Json) -> Told | None:
    kind, status, reason = said["type"], said["status"], said["reason"]
    text = f"{kind} is {status}" + (f": {said['message']}" if said.get("message") else "")
    if kind in (ConditionType.READY, ConditionType.PROGRAMMED) and status == Truth.TRUE:
        return Told("Normal", reason, text)
    if kind in (ConditionType.OVERRIDDEN, ConditionType.SUSPENDED):
        return Told("Normal", reason, text)
    bad = status == Truth.FALSE and reason not in (Reason.PROGRESSING, Reason.PENDING)
    if bad and kind in (ConditionType.ACCEPTED, ConditionType.RESOLVED_REFS, ConditionType.PROGRAMMED):
        return Told("Warning", reason, text)
    if kind == ConditionType.STALLED and reason == Reason.NAME_CONFLICT:
        return Told("Warning", reason, text)
    return None


class Recorder:
    """`now`: RFC 3339. Never raises for the API server's sake: an Event that cannot be written is not worth it."""

    def __init__(self, client: Client, now: Callable[[], str]) -> None:
        self._client = client
        self._now = now
        self._seen: OrderedDict[str, tuple[int, str]] = OrderedDict()

    async def record(self, about: Known, told: Sequence[Told]) -> None:
        for each in told:
            try:
                await self._client.apply(self._event(about, each), MANAGER, limit=5.0)
            except NotLeading:
                raise
            except KubeError as error:
                log.warning("an Event about %s %s was not written: %s", about.kind, about.key, error)

    def _event(self, about: Known, told: Told) -> Json:
        """The same thing about the same object has the same name, and so is one Event."""
        digest = hashlib.sha256(f"{about.uid}\n{told.reason}\n{told.message}".encode()).hexdigest()[:16]
        name = f"{about.key.name[:230]}.{digest}"
        count, first = self._count(f"{about.key.namespace}/{name}")
        involved: dict[str, Any] = {
            "apiVersion": about.kind.api_version,
            "kind": about.kind.kind,
            "namespace": about.key.namespace,
            "name": about.key.name,
            "uid": about.uid,
        }
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": about.key.namespace, "name": name},
            "involvedObject": involved,
            "type": told.type,
            "reason": told.reason,
            "message": told.message[:_LONGEST],
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "firstTimestamp": first,
            "lastTimestamp": self._now(),
            "count": count,
        }

    def _count(self, name: str) -> tuple[int, str]:
        count, first = self._seen.pop(name, (0, self._now()))
        self._seen[name] = (count + 1, first)
        if len(self._seen) > _COUNTED:
            self._seen.popitem(last=False)
        return count + 1, first
