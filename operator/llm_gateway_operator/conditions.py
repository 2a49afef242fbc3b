"""What is said about an object, as its conditions. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_gateway_operator.api.conditions import CONDITION_OF, ConditionType, Reason
from llm_gateway_operator.api.status import LONGEST_MESSAGE, Truth
from llm_gateway_operator.objects import Finding

Json = dict[str, Any]

_OURS = frozenset(ConditionType)
_MOST_SENTENCES = 4


@dataclass(frozen=True, slots=True)
class Said:
    """One condition. `generation`: what it was said about, if not of the generation being judged."""

    type: ConditionType
    status: Truth
    reason: str
    message: str
    generation: int | None = None


def condition(before: Iterable[Json], kind: ConditionType) -> Json | None:
    return next((each for each in before if each.get("type") == kind), None)


def carried(before: Sequence[Json], kind: ConditionType, otherwise: Said) -> Said:
    """What was said before, about the generation of then: nothing new is known."""
    old = condition(before, kind)
    if old is None:
        return otherwise
    generation = old.get("observedGeneration")
    return Said(kind, Truth(old["status"]), old["reason"], old.get("message", ""), generation)


def conditions(said: Iterable[Said], before: Sequence[Json], generation: int, now: str) -> list[Json]:
    """`said` in its order; then those of `before` that others have put there. `now`: RFC 3339.

    The time of a condition is that of the last change of its status, and not of a new reason or message.
    """
    ours = [_as_json(each, condition(before, each.type), generation, now) for each in said]
    return ours + [each for each in before if each.get("type") not in _OURS]


def _as_json(said: Said, old: Json | None, generation: int, now: str) -> Json:
    same = old is not None and old.get("status") == said.status
    return {
        "type": str(said.type),
        "status": str(said.status),
        "observedGeneration": generation if said.generation is None else said.generation,
        "lastTransitionTime": old["lastTransitionTime"] if same and old is not None else now,
        "reason": str(said.reason),
        "message": clipped(said.message),
    }


def clipped(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"


def judged(kind: ConditionType, findings: Sequence[Finding], fine: Reason) -> Said:
    """`kind` as false because of `findings`, or true with the reason `fine`."""
    if not findings:
        return Said(kind, Truth.TRUE, fine, "")
    reasons = {finding.reason for finding in findings}
    reason = reasons.pop() if len(reasons) == 1 else Reason.MULTIPLE_PROBLEMS
    if kind is ConditionType.ACCEPTED and reason is Reason.MULTIPLE_PROBLEMS:
        reason = Reason.INVALID
    return Said(kind, Truth.FALSE, reason, sentences(findings))


def sentences(findings: Sequence[Finding]) -> str:
    """The first few, each with its object and field."""
    told = [f"{each.kind} {each.key}: {each.path}: {each.message}" for each in findings[:_MOST_SENTENCES]]
    rest = len(findings) - len(told)
    return "; ".join([*told, f"and {rest} more"] if rest else told)


def of_condition(kind: ConditionType, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that make `kind` false on their own object."""
    return tuple(each for each in findings if CONDITION_OF.get(each.reason) is kind)
