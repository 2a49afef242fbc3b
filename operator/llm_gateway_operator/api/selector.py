"""Label selectors, with the meaning that Kubernetes gives them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from llm_gateway_operator.api.common import Part
from llm_gateway_operator.api.scalars import NO_STRINGS, LabelKey, Labels, LabelValue


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Part):
    """One entry of `matchExpressions`."""

    key: LabelKey
    """The label's key."""
    operator: Operator
    """In and NotIn compare with values; NotIn also matches where the label is absent."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """At least one with In and NotIn, none with Exists and DoesNotExist."""


class Selector(Part):
    """A label selector: everything in it must match; an empty one selects everything."""

    atomic = True

    match_labels: Labels = NO_STRINGS
    """Labels that must be there with exactly these values."""
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=32)] = ()
    """Requirements that must all be met."""

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name) == value for name, value in self.match_labels.items()) and all(
            _meets(labels, requirement) for requirement in self.match_expressions
        )


def _meets(labels: Mapping[str, str], requirement: Requirement) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values  # also when the label is absent, as in Kubernetes
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
