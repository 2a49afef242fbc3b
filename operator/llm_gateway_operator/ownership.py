"""Whose an object is that stands under a name of ours. Pure."""

from enum import Enum, auto

from llm_gateway_operator.kube.kinds import GATEWAY, Json
from llm_gateway_operator.render.metadata import MANAGED_BY, OWNER_LABEL


class Standing(Enum):
    OURS = auto()
    LEFTOVER = (
        auto()
    )  # of a gateway of the same name that was deleted: the garbage collector is about to come
    FOREIGN = auto()  # never taken over: it may be in use


def standing(obj: Json, owner_name: str, owner_uid: str) -> Standing:
    controller = next(
        (each for each in obj["metadata"].get("ownerReferences") or () if each.get("controller")), None
    )
    if controller is None:
        return Standing.FOREIGN
    if controller["uid"] == owner_uid:
        return Standing.OURS
    former = controller["kind"] == GATEWAY.kind and controller["name"] == owner_name
    return Standing.LEFTOVER if former else Standing.FOREIGN


def is_rendered(obj: Json, owner_name: str) -> bool:
    """Whether it carries the labels of what is rendered: somebody may let a gateway own things of their own."""
    labels = obj["metadata"].get("labels") or {}
    managed = labels.get("app.kubernetes.io/managed-by") == MANAGED_BY
    return managed and labels.get(OWNER_LABEL) == owner_name
