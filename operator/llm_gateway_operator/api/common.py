"""What both kinds share: the base of every part, metadata, references to Secrets."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from llm_gateway_config.fields import LARGEST_COUNT
from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.problems import expected, rule

GROUP = "llmgateway.dev"
API_VERSION = f"{GROUP}/v1alpha1"

# RFC 1123 subdomain; 63 characters and not 253, because names also become label values and ids of providers.
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

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


def _object_name(value: str) -> str:
    if not _OBJECT_NAME.fullmatch(value):
        raise expected("a name of at most 63 lower-case letters, digits, - and .")
    return value


def _secret_key(value: str) -> str:
    if not _SECRET_KEY.fullmatch(value):
        raise expected("a key of a Secret: letters, digits, - _ and .")
    return value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not `min_length`, which would also speak up when the only entry is there but wrong.
    if not value:
        raise rule("must hold at least one entry")
    return value


AtLeastOne = AfterValidator(_some)
ObjectName = Annotated[str, AfterValidator(_object_name)]
SecretKey = Annotated[str, AfterValidator(_secret_key)]
# Strict, because the API server takes neither `true` nor "3" for a number.
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
NO_STRINGS: FrozenMap[str] = FrozenMap()


class Part(BaseModel):
    """A piece of a custom resource: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )

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

    name: ObjectName
    key: SecretKey
