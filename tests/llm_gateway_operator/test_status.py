"""The conditions of an LLMGateway, as a table; and what Flux makes of them."""

from dataclasses import replace
from typing import Any

import pytest

from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.status import LONGEST_MESSAGE, MOST_PROBLEMS, GatewayStatus, Truth
from llm_gateway_operator.confirm import Confirmation
from llm_gateway_operator.events import transitions
from llm_gateway_operator.objects import Finding, Key
from llm_gateway_operator.status import (
    GatewayFacts,
    Publication,
    failed_status,
    first_status,
    gateway_status,
)
from llm_gateway_testing.kstatus import verdict

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
Json = dict[str, Any]


def finding(reason: Reason, kind: str = "LLMGateway", message: str = "wrong") -> Finding:
    return Finding("f", None, "spec.x", message, kind, Key("team", "one"), reason)


def deployment(ready: int = 3, wanted: int = 3, updated: int = 3, seen: int = 2) -> Json:
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""}
    status = {
        "observedGeneration": seen,
        "replicas": wanted,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "conditions": [available],
    }
    return {"metadata": {"generation": 2}, "spec": {"replicas": wanted}, "status": status}


PUBLICATION = Publication("ab12", 2, 3, 4, "http://gw.team.svc:8080", (("team", "keys", "a", "0a1b2c3d"),))
YES = Confirmation(Truth.TRUE, Reason.PROGRAMMED, "all", 3)
PENDING = Confirmation(Truth.FALSE, Reason.PENDING, "1 of 3", 1)
REJECTED = Confirmation(Truth.FALSE, Reason.REJECTED, "line 3: no", 0)
UNREACHABLE = Confirmation(Truth.UNKNOWN, Reason.UNREACHABLE, "not asked", 0)

GOOD = GatewayFacts(2, publication=PUBLICATION, confirmation=YES, deployment=deployment())
SECRET = (finding(Reason.SECRET_NOT_FOUND, "LLMProvider"),)
INVALID = (finding(Reason.INVALID),)


def after(facts: GatewayFacts, before: Json | None = None) -> Json:
    status = {**(before or {}), **gateway_status(facts, before or {}, NOW)}
    GatewayStatus.model_validate(status)
    return status


def short(status: Json) -> dict[str, str]:
    return {each["type"]: f"{each['status']} {each['reason']}" for each in status["conditions"]}


READY = after(GOOD)
READY_BEFORE = after(replace(GOOD, generation=1))

# facts, the status before -> Programmed, Ready, Reconciling, Stalled; Flux's verdict
CASES: dict[str, tuple[GatewayFacts, Json, tuple[str, str, bool, str | None], str]] = {
    "all is well": (GOOD, {}, ("True Programmed", "True Ready", False, None), "Current"),
    "nothing was published yet": (
        GatewayFacts(2), {}, ("False Pending", "Unknown Progressing", True, None), "InProgress"
    ),
    "pods have not confirmed a new generation": (
        replace(GOOD, confirmation=PENDING), READY_BEFORE,
        ("False Pending", "Unknown Progressing", True, None), "InProgress",
    ),
    "nobody knows what the pods run": (
        replace(GOOD, confirmation=UNREACHABLE), {},
        ("Unknown Unreachable", "Unknown Progressing", True, None), "InProgress",
    ),
    "only a Secret changed": (
        replace(GOOD, confirmation=PENDING), READY, ("False Pending", "True Ready", False, None), "Current"
    ),
    "old pods have confirmed, new ones are still coming": (
        replace(GOOD, deployment=deployment(updated=1)), READY_BEFORE,
        ("True Programmed", "Unknown Progressing", True, None), "InProgress",
    ),
    "the Deployment's controller has not looked yet": (
        replace(GOOD, deployment=deployment(seen=1)), READY_BEFORE,
        ("True Programmed", "Unknown Progressing", True, None), "InProgress",
    ),
    "one pod of a settled fleet is away": (
        replace(GOOD, deployment=deployment(ready=2)), READY, ("True Programmed", "True Ready", False, None), "Current"
    ),
    "all pods of a settled fleet are away": (
        replace(GOOD, deployment=deployment(ready=0), confirmation=PENDING), READY,
        ("False Pending", "False Progressing", False, None), "InProgress",
    ),
    "a fleet of no pods": (
        replace(GOOD, deployment=deployment(0, 0, 0)), READY, ("True Programmed", "True Ready", False, None), "Current"
    ),
    "pods refuse the document": (
        replace(GOOD, confirmation=REJECTED), READY, ("False Rejected", "True Ready", False, None), "Current"
    ),
    "pods refuse the first document": (
        replace(GOOD, confirmation=REJECTED), {},
        ("False Rejected", "Unknown Progressing", False, None), "InProgress",
    ),
    "a provider without its Secret": (
        replace(GOOD, refs=SECRET), READY, ("True Programmed", "True PartiallyReady", False, None), "Current"
    ),
    "no model is left": (
        replace(GOOD, refs=SECRET, publication=replace(PUBLICATION, models=0)), READY,
        ("True Programmed", "False NoModels", False, None), "InProgress",
    ),
    "a part of the spec is wrong": (
        replace(GOOD, accepted=INVALID), READY,
        ("True Programmed", "True PartiallyReady", False, "True Invalid"), "Failed",
    ),
    "the whole spec is wrong": (
        GatewayFacts(2, accepted=INVALID, stopped=True, deployment=deployment()), READY_BEFORE,
        ("True Programmed", "False Invalid", False, "True Invalid"), "Failed",
    ),
    "a name is taken": (
        GatewayFacts(2, conflicts=("Service gw",)), {},
        ("False Pending", "False NameConflict", False, "True NameConflict"), "Failed",
    ),
    "suspended": (
        GatewayFacts(2, suspended=True, deployment=deployment()), READY_BEFORE,
        ("True Programmed", "True Ready", False, None), "Current",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "before", "expected", "judged"), CASES.values(), ids=CASES.keys())
def test_a_gateway_says(
    facts: GatewayFacts, before: Json, expected: tuple[str, str, bool, str | None], judged: str
) -> None:
    status = after(facts, before)
    said = short(status)
    assert (said["Programmed"], said["Ready"], "Reconciling" in said, said.get("Stalled")) == expected
    assert verdict({"metadata": {"generation": 2}, "status": status}) == judged


def test_what_was_said_of_an_older_generation_keeps_its_number() -> None:
    status = after(GatewayFacts(2, suspended=True, deployment=deployment()), READY_BEFORE)
    seen = {each["type"]: each["observedGeneration"] for each in status["conditions"]}
    assert (seen["Ready"], seen["Programmed"], seen["Suspended"], seen["Accepted"]) == (1, 1, 2, 2)
    assert status["observedGeneration"] == 2


def test_a_condition_is_as_old_as_its_status() -> None:
    status = gateway_status(replace(GOOD, refs=SECRET), READY, LATER)
    since = {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}
    assert (since["Ready"], since["ResolvedRefs"]) == (NOW, LATER)
    assert gateway_status(GOOD, READY, LATER) == {
        name: READY[name] for name in gateway_status(GOOD, READY, NOW)
    }


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "example.com/Checked", "status": "True", "reason": "Yes", "lastTransitionTime": NOW}
    before = {"conditions": [theirs]}
    assert theirs in gateway_status(GOOD, before, NOW)["conditions"]


def test_a_credential_is_as_old_as_its_value() -> None:
    rotated = replace(
        PUBLICATION, credentials=(("team", "keys", "a", "ffffffff"), ("team", "keys", "b", "00000000"))
    )
    status = gateway_status(replace(GOOD, publication=rotated), READY, LATER)
    again = gateway_status(GOOD, {**READY, **status}, "2026-01-01T00:02:00Z")
    assert [each["publishedAt"] for each in READY["credentials"]] == [NOW]
    assert [each["publishedAt"] for each in status["credentials"]] == [LATER, LATER]
    assert [each["publishedAt"] for each in again["credentials"]] == ["2026-01-01T00:02:00Z"]


def test_it_is_bounded() -> None:
    many = tuple(
        finding(Reason.SECRET_NOT_FOUND, "LLMProvider", f"{number} {'x' * 5000}") for number in range(99)
    )
    status = after(replace(GOOD, refs=many))
    assert len(status["problems"]) == MOST_PROBLEMS
    texts = [each["message"] for each in [*status["problems"], *status["conditions"]]]
    assert max(map(len, texts)) == LONGEST_MESSAGE


def test_several_reasons_are_multiple_problems() -> None:
    refs = (*SECRET, finding(Reason.MODEL_NOT_FOUND))
    assert short(after(replace(GOOD, refs=refs)))["ResolvedRefs"] == "False MultipleProblems"


def test_the_first_word_and_a_failure_are_in_progress() -> None:
    first = first_status(2, NOW)
    GatewayStatus.model_validate(first)
    assert verdict({"metadata": {"generation": 2}, "status": first}) == "InProgress"
    failed = failed_status(2, "quota exceeded", READY_BEFORE, LATER)
    GatewayStatus.model_validate(failed)
    assert short(failed)["Ready"] == "Unknown Progressing"
    assert short(failed)["Programmed"] == "True Programmed"
    assert short(failed_status(2, "quota exceeded", READY, LATER))["Ready"] == "True Ready"


def test_only_transitions_are_told() -> None:
    told = list(transitions({}, READY))
    assert [(each.type, each.reason) for each in told] == [
        ("Normal", "Programmed"), ("Normal", "Ready"), ("Normal", "Published")
    ]  # fmt: skip
    assert list(transitions(READY, READY)) == []
    missing = after(replace(GOOD, refs=SECRET), READY)
    assert [(each.type, each.reason) for each in transitions(READY, missing)] == [
        ("Warning", "SecretNotFound"), ("Normal", "PartiallyReady")
    ]  # fmt: skip
