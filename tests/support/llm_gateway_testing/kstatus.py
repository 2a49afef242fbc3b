"""Flux's verdict on an object: the rules of kstatus for custom resources, in its order.

Source: sigs.k8s.io/cli-utils, pkg/kstatus/status (generic rules). `kubectl wait` is stricter about one thing: it looks
at the generation within the condition, too.
"""

from typing import Any, Literal

Verdict = Literal["Terminating", "InProgress", "Failed", "Current"]


def verdict(obj: dict[str, Any]) -> Verdict:
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata["generation"]:
        return "InProgress"
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready", "True") != "True":
        return "InProgress"
    return "Current"
