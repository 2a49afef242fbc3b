"""What an LLMGateway's status says, from what was found out about it. Pure.

Ready is True only after pods have confirmed the configuration of this generation. From then on a change of something
else (a Secret, a provider) moves Programmed alone, until the generation moves again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llm_gateway_operator.api.conditions import ConditionType, Reason
from llm_gateway_operator.api.status import MOST_CREDENTIALS, MOST_PROBLEMS, Truth
from llm_gateway_operator.conditions import Said, carried, clipped, condition, conditions, judged, sentences
from llm_gateway_operator.confirm import Confirmation
from llm_gateway_operator.objects import Finding

Json = dict[str, Any]

# What a failure of the API server says nothing about.
_LASTING = (
    ConditionType.ACCEPTED,
    ConditionType.RESOLVED_REFS,
    ConditionType.PROGRAMMED,
    ConditionType.AVAILABLE,
    ConditionType.OVERRIDDEN,
    ConditionType.ANONYMOUS_ACCESS,
)

_OPEN = "everybody who reaches the Service may use this gateway: this version does not tell callers apart"


@dataclass(frozen=True, slots=True)
class Publication:
    """What the objects of a gateway hold. `served` of `selected` providers; `credentials`: namespace, Secret, key and
    fingerprint of each value."""

    revision: str
    served: int
    selected: int
    models: int
    url: str
    credentials: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """`accepted`, `refs`: findings that make these conditions false; `notes`: others that are listed as problems.

    `stopped`: why nothing, or not all, of this generation could be published: it takes an edit. `conflicts`: as in
    Applied. `publication` None: nothing was published this time; what was published before stands. `deployment`: the
    whole object."""

    generation: int
    accepted: tuple[Finding, ...] = ()
    refs: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    stopped: bool = False
    suspended: bool = False
    conflicts: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    publication: Publication | None = None
    confirmation: Confirmation | None = None
    deployment: Json | None = None


def gateway_status(facts: GatewayFacts, before: Json, now: str) -> Json:
    """The fields of the new status; those that are absent stay as they are in `before`. `now`: RFC 3339."""
    old: Sequence[Json] = before.get("conditions") or ()
    status: Json = {
        "observedGeneration": facts.generation,
        "conditions": conditions(_said(facts, old), old, facts.generation, now),
        "problems": [_problem(each) for each in _problems(facts)],
    }
    if facts.publication is not None:
        status |= _published(facts.publication, before, now)
    if facts.deployment is not None and facts.confirmation is not None:
        wanted = facts.deployment["spec"].get("replicas", 1)
        status["replicas"] = f"{facts.confirmation.running}/{wanted}"
    return status


def first_status(generation: int, now: str) -> Json:
    """Before anything else is done: an empty status is taken for success."""
    waiting = "the operator has begun with it"
    said = (
        Said(ConditionType.READY, Truth.UNKNOWN, Reason.PROGRESSING, waiting),
        Said(ConditionType.RECONCILING, Truth.TRUE, Reason.PROGRESSING, waiting),
    )
    return {"observedGeneration": generation, "conditions": conditions(said, (), generation, now)}


def failed_status(generation: int, failure: str, before: Json, now: str) -> Json:
    """Something could not be done for now: what was said before stands, and why it goes on."""
    old: Sequence[Json] = before.get("conditions") or ()
    unsettled = Said(ConditionType.READY, Truth.UNKNOWN, Reason.PROGRESSING, failure)
    ready = condition(old, ConditionType.READY)
    if ready is not None and ready["status"] == Truth.TRUE and ready.get("observedGeneration") == generation:
        unsettled = carried(old, ConditionType.READY, unsettled)
    said = (
        *(carried(old, kind, unsettled) for kind in _LASTING if condition(old, kind)),
        unsettled,
        Said(ConditionType.RECONCILING, Truth.TRUE, Reason.PROGRESSING, failure),
    )
    return {"observedGeneration": generation, "conditions": conditions(said, old, generation, now)}


def _said(facts: GatewayFacts, old: Sequence[Json]) -> Iterator[Said]:
    ready = _ready(facts, old)
    yield judged(ConditionType.ACCEPTED, facts.accepted, Reason.ACCEPTED)
    yield judged(ConditionType.RESOLVED_REFS, facts.refs, Reason.RESOLVED_REFS)
    yield _programmed(facts, old)
    yield _available(facts)
    yield ready
    yield from _only_while_true(facts, ready)


def _programmed(facts: GatewayFacts, old: Sequence[Json]) -> Said:
    answer = facts.confirmation
    if answer is None:
        nothing = Said(ConditionType.PROGRAMMED, Truth.FALSE, Reason.PENDING, "nothing was published yet")
        return carried(old, ConditionType.PROGRAMMED, nothing)
    return Said(ConditionType.PROGRAMMED, answer.status, answer.reason, answer.message)


def _available(facts: GatewayFacts) -> Said:
    if facts.deployment is None:
        return Said(ConditionType.AVAILABLE, Truth.FALSE, Reason.PROGRESSING, "there is no Deployment yet")
    told = (facts.deployment.get("status") or {}).get("conditions") or ()
    found = condition(told, ConditionType.AVAILABLE)
    if found is None:
        return Said(
            ConditionType.AVAILABLE, Truth.UNKNOWN, Reason.PROGRESSING, "the Deployment says nothing yet"
        )
    failures = (each["message"] for each in told if each["type"] == "ReplicaFailure" and each.get("message"))
    message = "; ".join([found.get("message", ""), *failures])
    return Said(ConditionType.AVAILABLE, Truth(found["status"]), found["reason"], message)


def _ready(facts: GatewayFacts, old: Sequence[Json]) -> Said:
    """The first that applies."""
    kind = ConditionType.READY
    unsettled = Said(kind, Truth.UNKNOWN, Reason.PROGRESSING, _progress(facts))
    if facts.conflicts:
        return Said(kind, Truth.FALSE, Reason.NAME_CONFLICT, _conflict(facts))
    if facts.suspended:
        return carried(old, kind, unsettled)
    if facts.stopped:
        accepted = judged(ConditionType.ACCEPTED, facts.accepted, Reason.ACCEPTED)
        return Said(kind, Truth.FALSE, accepted.reason, accepted.message)
    if facts.publication is not None and facts.publication.models == 0:
        return Said(kind, Truth.FALSE, Reason.NO_MODELS, _why_no_models(facts))
    if facts.confirmation is not None and facts.confirmation.reason is Reason.REJECTED:
        return carried(old, kind, unsettled)
    if not _confirmed(facts, old):
        return unsettled
    if _nobody_there(facts):
        return Said(kind, Truth.FALSE, Reason.PROGRESSING, "no pod is ready")
    findings = (*facts.accepted, *facts.refs)
    if findings:
        return Said(kind, Truth.TRUE, Reason.PARTIALLY_READY, f"not all is served: {sentences(findings)}")
    return Said(kind, Truth.TRUE, Reason.READY, "")


def _confirmed(facts: GatewayFacts, old: Sequence[Json]) -> bool:
    """By the pods of this generation now, or before."""
    now = facts.confirmation is not None and facts.confirmation.status is Truth.TRUE
    return (now and _rolled_out(facts)) or _settled(facts, old)


def _rolled_out(facts: GatewayFacts) -> bool:
    """Whether all pods are those of the newest Deployment, and ready: the old ones too may run the new revision."""
    if facts.deployment is None:
        return False
    status = facts.deployment.get("status") or {}
    if status.get("observedGeneration", 0) < facts.deployment["metadata"]["generation"]:
        return False
    wanted = facts.deployment["spec"].get("replicas", 1)
    return all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "readyReplicas"))


def _settled(facts: GatewayFacts, old: Sequence[Json]) -> bool:
    """Whether Ready was True for this generation; it is False for want of pods only after that."""
    ready = condition(old, ConditionType.READY)
    if ready is None or ready.get("observedGeneration") != facts.generation:
        return False
    without_pods = (ready["status"], ready["reason"]) == (Truth.FALSE, Reason.PROGRESSING)
    return ready["status"] == Truth.TRUE or without_pods


def _nobody_there(facts: GatewayFacts) -> bool:
    """All pods are away, though some are wanted. One that is missing is no reason: nodes come and go."""
    if facts.deployment is None:
        return True
    wanted = facts.deployment["spec"].get("replicas", 1)
    return wanted > 0 and not (facts.deployment.get("status") or {}).get("readyReplicas")


def _only_while_true(facts: GatewayFacts, ready: Said) -> Iterator[Said]:
    stalled = _stalled(facts)
    rejected = facts.confirmation is not None and facts.confirmation.reason is Reason.REJECTED
    if stalled is not None:
        yield stalled
    elif ready.status is Truth.UNKNOWN and not rejected and not facts.suspended:
        yield Said(ConditionType.RECONCILING, Truth.TRUE, Reason.PROGRESSING, ready.message)
    if facts.overridden:
        kind = ConditionType.OVERRIDDEN
        yield Said(kind, Truth.TRUE, kind, f"others have set {', '.join(facts.overridden)}")
    if facts.suspended:
        kind = ConditionType.SUSPENDED
        yield Said(kind, Truth.TRUE, kind, "spec.suspend is true: nothing is changed until it is not")
    yield Said(ConditionType.ANONYMOUS_ACCESS, Truth.TRUE, ConditionType.ANONYMOUS_ACCESS, _OPEN)


def _stalled(facts: GatewayFacts) -> Said | None:
    """What only the user can mend. Not a missing Secret: a store of secrets may bring it at any time."""
    if facts.conflicts:
        return Said(ConditionType.STALLED, Truth.TRUE, Reason.NAME_CONFLICT, _conflict(facts))
    if facts.accepted:
        return Said(ConditionType.STALLED, Truth.TRUE, Reason.INVALID, sentences(facts.accepted))
    return None


def _conflict(facts: GatewayFacts) -> str:
    names = ", ".join(facts.conflicts)
    return f"{names} of this namespace is not this gateway's: delete it, or give the LLMGateway another name"


def _progress(facts: GatewayFacts) -> str:
    if facts.confirmation is None:
        return "nothing was published yet"
    if facts.confirmation.status is not Truth.TRUE:
        return facts.confirmation.message
    return "the Deployment is being rolled out"


def _why_no_models(facts: GatewayFacts) -> str:
    findings = (*facts.refs, *facts.notes)
    return f"no model is served: {sentences(findings)}" if findings else "no model is served"


def _published(publication: Publication, before: Json, now: str) -> Json:
    return {
        "providers": f"{publication.served}/{publication.selected}",
        "models": publication.models,
        "revision": publication.revision,
        "url": publication.url,
        "credentials": _credentials(publication, before, now),
    }


def _credentials(publication: Publication, before: Json, now: str) -> list[Json]:
    names = ("namespace", "secret", "key", "fingerprint")
    since = {
        tuple(each[name] for name in names): each["publishedAt"] for each in before.get("credentials") or ()
    }
    first = sorted(publication.credentials)[:MOST_CREDENTIALS]
    return [{**dict(zip(names, each, strict=True)), "publishedAt": since.get(each, now)} for each in first]


def _problems(facts: GatewayFacts) -> list[Finding]:
    return list(dict.fromkeys([*facts.accepted, *facts.refs, *facts.notes]))[:MOST_PROBLEMS]


def _problem(finding: Finding) -> Json:
    return {
        "object": f"{finding.kind} {finding.key}"[:300],
        "path": finding.path[:1024],
        "reason": str(finding.reason),
        "message": clipped(finding.message),
    }
