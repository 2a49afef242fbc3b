"""Names of conditions and their reasons: constants that people and tools wait for. The table is api.md's."""

from collections.abc import Mapping
from enum import StrEnum


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    PROGRAMMED = "Programmed"
    AVAILABLE = "Available"
    READY = "Ready"
    HEALTHY = "Healthy"
    # Only there while true.
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    OVERRIDDEN = "Overridden"
    SUSPENDED = "Suspended"
    ANONYMOUS_ACCESS = "AnonymousAccess"


class Reason(StrEnum):
    # Accepted
    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    UNSUPPORTED_VALUE = "UnsupportedValue"
    INVALID_POD_TEMPLATE = "InvalidPodTemplate"
    # ResolvedRefs
    RESOLVED_REFS = "ResolvedRefs"
    PROVIDER_NOT_FOUND = "ProviderNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"
    CREDENTIAL_MISSING = "CredentialMissing"
    REF_NOT_PERMITTED = "RefNotPermitted"
    MODEL_NOT_FOUND = "ModelNotFound"
    MULTIPLE_PROBLEMS = "MultipleProblems"
    # Programmed
    PROGRAMMED = "Programmed"
    PENDING = "Pending"
    REJECTED = "Rejected"
    UNREACHABLE = "Unreachable"
    # Ready
    READY = "Ready"
    PARTIALLY_READY = "PartiallyReady"
    NO_MODELS = "NoModels"
    PROGRESSING = "Progressing"
    # Stalled, beside Invalid
    NAME_CONFLICT = "NameConflict"
    # Healthy, beside Unreachable
    SERVING = "Serving"
    COOLING_DOWN = "CoolingDown"
    CREDENTIAL_REJECTED = "CredentialRejected"
    NO_TRAFFIC = "NoTraffic"


CONDITION_OF: Mapping[Reason, ConditionType] = {
    Reason.INVALID: ConditionType.ACCEPTED,
    Reason.UNSUPPORTED_VALUE: ConditionType.ACCEPTED,
    Reason.INVALID_POD_TEMPLATE: ConditionType.ACCEPTED,
    Reason.PROVIDER_NOT_FOUND: ConditionType.RESOLVED_REFS,
    Reason.SECRET_NOT_FOUND: ConditionType.RESOLVED_REFS,
    Reason.SECRET_KEY_NOT_FOUND: ConditionType.RESOLVED_REFS,
    Reason.CREDENTIAL_MISSING: ConditionType.RESOLVED_REFS,
    Reason.REF_NOT_PERMITTED: ConditionType.RESOLVED_REFS,
    Reason.MODEL_NOT_FOUND: ConditionType.RESOLVED_REFS,
}
"""The condition that a finding with this reason makes false. NoModels is no problem of a spec: Ready says it."""
