"""When the process says that it should be started again, and what its port answers."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from llm_gateway_operator.health import Heart, Signs, complaints, served
from llm_gateway_operator.metrics import Metrics

FINE = Signs(lag=0.1, queue_wait=1.0, oldest_sweep=600.0, seeded=True)

CASES: dict[str, tuple[Signs, str]] = {
    "all is well": (FINE, ""),
    "nothing was listed yet": (replace(FINE, oldest_sweep=None, seeded=False), ""),
    "the loop hangs": (replace(FINE, lag=6.0), "the event loop is 6.0 s late"),
    "the workers hang": (replace(FINE, queue_wait=301.0), "an object has waited 301 s for a worker"),
    "a kind cannot be listed any more": (
        replace(FINE, oldest_sweep=1801.0),
        "a kind was last listed 1801 s ago",
    ),
}


@pytest.mark.parametrize(("signs", "said"), CASES.values(), ids=CASES.keys())
def test_health(signs: Signs, said: str) -> None:
    assert "; ".join(complaints(signs)) == said


ANSWERS: dict[str, tuple[str, Signs, int]] = {
    "alive": ("/healthz", FINE, 200),
    "ill": ("/healthz", replace(FINE, lag=9.0), 503),
    "ready": ("/readyz", FINE, 200),
    "not ready": ("/readyz", replace(FINE, seeded=False), 503),
    "alive before it is ready": ("/healthz", replace(FINE, seeded=False), 200),
}


@pytest.mark.parametrize(("path", "signs", "status"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_the_port_says(path: str, signs: Signs, status: int) -> None:
    async with (
        served("127.0.0.1", 0, lambda: signs, bytes) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        assert answer.status == status


async def test_metrics_tell_state_and_counts() -> None:
    metrics = Metrics()
    metrics.reconciled("LLMGateway", "done")
    async with (
        served("127.0.0.1", 0, lambda: FINE, lambda: metrics.exposition(True, False)) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.text()
    assert "llm_gateway_operator_leading 1.0" in text
    assert "llm_gateway_operator_seeded 0.0" in text
    assert 'llm_gateway_operator_reconciles_total{kind="LLMGateway",result="done"} 1.0' in text


async def test_a_loop_that_hung_is_late() -> None:
    heart = Heart()
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + 60  # type: ignore[method-assign]
    try:
        assert heart.lag() > 59
    finally:
        loop.time = before  # type: ignore[method-assign]
