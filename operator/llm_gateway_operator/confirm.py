"""What the pods of a gateway say about the configuration that they run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.status import Truth
from llm_gateway_operator.known import Known


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The condition Programmed. `running`: pods that run the revision that was asked about.

    `again_after`: seconds until it is worth asking again although nothing has changed; None: it is not.
    """

    status: Truth
    reason: Reason
    message: str
    running: int = 0
    again_after: float | None = None


Confirm = Callable[[str, Sequence[Known]], Awaitable[Confirmation]]
"""`confirm(revision, pods)`: it may ask pods, and answers within some seconds whatever they do."""


async def nobody_asked(revision: str, pods: Sequence[Known]) -> Confirmation:
    """Asks no pod, and so claims nothing about them."""
    ready = sum(is_ready(pod) for pod in pods)
    if ready == 0:
        return Confirmation(Truth.FALSE, Reason.PENDING, f"no pod is ready to run revision {revision}")
    return Confirmation(
        Truth.UNKNOWN, Reason.UNREACHABLE, f"{ready} pods are ready; which revision they run was not asked"
    )


def is_ready(pod: Known) -> bool:
    if pod.obj["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.status.get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
