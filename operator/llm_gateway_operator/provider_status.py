"""What an LLMProvider's status says. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_gateway_operator.api.conditions import ConditionType, Reason
from llm_gateway_operator.api.status import MOST_GATEWAYS, Truth
from llm_gateway_operator.conditions import Said, conditions, judged
from llm_gateway_operator.objects import Finding, Key

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """`gateways`: those that have selected it, and whether it is in their configuration."""

    generation: int
    models: int
    accepted: tuple[Finding, ...]
    refs: tuple[Finding, ...]
    gateways: Mapping[Key, bool]


def provider_status(facts: ProviderFacts, before: Json, now: str) -> Json:
    """The whole status. `before`: the status as it is; `now`: RFC 3339."""
    old: Sequence[Json] = before.get("conditions") or ()
    first = sorted(facts.gateways.items())[:MOST_GATEWAYS]
    return {
        "observedGeneration": facts.generation,
        "conditions": conditions(_said(facts), old, facts.generation, now),
        "models": facts.models,
        "gatewayCount": len(facts.gateways),
        "gateways": [
            {"namespace": key.namespace, "name": key.name, "serving": serving} for key, serving in first
        ],
    }


def serving_before(status: Json) -> dict[Key, bool]:
    """What a status says of gateways."""
    return {
        Key(each["namespace"], each["name"]): bool(each["serving"]) for each in status.get("gateways") or ()
    }


def _said(facts: ProviderFacts) -> Iterator[Said]:
    accepted = judged(ConditionType.ACCEPTED, facts.accepted, Reason.ACCEPTED)
    refs = judged(ConditionType.RESOLVED_REFS, facts.refs, Reason.RESOLVED_REFS)
    yield accepted
    yield refs
    # Of both, and not of traffic: who waits for this object waits for what it says, not for an upstream.
    failed = next((each for each in (accepted, refs) if each.status is not Truth.TRUE), None)
    if failed is None:
        yield Said(ConditionType.READY, Truth.TRUE, Reason.READY, "")
    else:
        yield Said(ConditionType.READY, Truth.FALSE, failed.reason, failed.message)
    yield Said(ConditionType.HEALTHY, Truth.UNKNOWN, Reason.NO_TRAFFIC, "no gateway has told of requests")
