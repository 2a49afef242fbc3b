"""What both kinds share: the base of every part, metadata, references to Secrets."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from llm_gateway_config.frozen import FrozenMap
from llm_gateway_operator.api.scalars import NO_STRINGS, ObjectName, SecretKey

GROUP = "llmgateway.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Set by the API server or by kubectl, so they stand in exported objects; they say nothing about what the
# user wants.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


class Part(BaseModel):
    """A piece of a custom resource: frozen, camelCase outside, unknown fields refused.

    `map_keys`: the fields that tell apart the entries of a list of it; a list of parts without keys is replaced whole.
    `atomic`: field managers own it whole, never a field of it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )

    map_keys: ClassVar[tuple[str, ...]] = ()
    atomic: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _absent_when_empty(cls, data: Any) -> Any:
        # `labels:` with nothing behind it, as the API server takes it. An unknown field stays, to be
        # reported.
        if not isinstance(data, dict) or None not in data.values():
            return data
        known = {field.alias for field in cls.model_fields.values()}
        return {name: value for name, value in data.items() if value is not None or name not in known}


class Metadata(Part):
    """`metadata`, as far as this program reads it; what only a server writes is dropped."""

    name: ObjectName
    namespace: ObjectName = "default"
    labels: FrozenMap[str] = NO_STRINGS
    annotations: FrozenMap[str] = NO_STRINGS

    @model_validator(mode="before")
    @classmethod
    def _drop_server_fields(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if name not in _SERVER_METADATA}


class SecretRef(Part):
    """One key of a Secret of the object's own namespace; there is no reference across namespaces."""

    atomic = True

    name: ObjectName
    """Name of a Secret of this object's namespace."""
    key: SecretKey
    """The key in the Secret whose value is meant."""
