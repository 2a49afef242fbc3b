"""How long a pod drains where its gateway does not say: steps that seldom move, and never down."""

from typing import Any

import pytest

from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.drain import drain_timeout

DRAINS = {
    "no provider": ([], 0.0, 600.0),
    "the contract's default of ten minutes": ([None], 0.0, 600.0),
    "short ones are rounded up": (["30s"], 0.0, 600.0),
    "just more than ten minutes": (["10m1ms"], 0.0, 1800.0),
    "exactly half an hour": (["30m"], 0.0, 1800.0),
    "the longest counts": (["1m", "31m", None], 0.0, 3600.0),
    "longer ones to whole hours": (["61m"], 0.0, 7200.0),
    "never less than before": (["1m"], 1800.0, 1800.0),
    "more than before": (["31m"], 1800.0, 3600.0),
}


@pytest.mark.parametrize(("totals", "floor", "expected"), DRAINS.values(), ids=DRAINS)
def test_drain_timeout(totals: list[str | None], floor: float, expected: float) -> None:
    assert drain_timeout(map(provider, totals), floor) == expected


def provider(total: str | None) -> LLMProvider:
    spec: dict[str, Any] = {"type": "Mock", "models": [{"name": "echo"}]}
    if total is not None:
        spec["timeouts"] = {"total": total}
    return LLMProvider.model_validate(
        {
            "apiVersion": "llmgateway.dev/v1alpha1",
            "kind": "LLMProvider",
            "metadata": {"name": "mock"},
            "spec": spec,
        }
    )
