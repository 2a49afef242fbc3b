import asyncio
import time

from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.kube.lease import Elector, Place, Terms
from llm_gateway_operator.kube.watchdog import Watchdog


class Willing:
    """Grants every request."""

    async def get(self, kind: Kind, namespace: str | None, name: str, limit: float) -> Json | None:
        return None

    async def create(self, obj: Json, manager: str, limit: float) -> Json:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "1"}}

    async def replace(self, obj: Json, manager: str, limit: float) -> Json:
        return obj


async def test_leadership_ends_even_while_the_event_loop_hangs() -> None:
    lost: list[tuple[str, float]] = []
    terms = Terms(duration=2, renew_within=1.0, retry=0.2)
    place = Place("ns", "operator", "one")
    elector = Elector(Willing(), place, terms, lambda reason: lost.append((reason, time.monotonic())))
    await elector.acquire()
    until = elector.renewed_until()
    holding = asyncio.create_task(elector.hold())
    deadline = time.monotonic() + 30
    while not lost and time.monotonic() < deadline:
        time.sleep(0.05)  # this is the hang
    [(reason, at)] = lost
    assert reason == "the Lease could not be renewed in time"
    assert at >= until
    assert not elector.leading()
    await holding
    assert len(lost) == 1
    await elector.release()


def test_it_says_nothing_after_it_was_stopped() -> None:
    expired: list[int] = []
    dog = Watchdog(lambda: stopped, lambda: expired.append(1))
    stopped = False
    dog.start()
    dog.stop()
    stopped = True
    assert expired == []
    assert not dog._thread.is_alive()


def test_one_that_was_never_started_can_be_stopped() -> None:
    Watchdog(lambda: True, lambda: None).stop()
