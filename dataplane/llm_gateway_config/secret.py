"""Values that must never be printed.

Rule: the only way to the value is `reveal()`, so that a search for that word finds every place that uses one.
Text made of it in any other way is `***`, and no error about it repeats it.
"""

import hashlib
import re
from typing import Any, NoReturn, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from llm_gateway_config.problems import kind_of, rule

MASK = "***"

# What a header may carry (RFC 9110, field-value) without obs-text: a key with a line break would end the
# header.
_HEADER_SAFE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


class Secret:
    """A frozen secret text. Equality and hash are those of the value."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def fingerprint(self) -> str:
        """Eight hex digits of the value's SHA-256: tells two values apart in logs and revisions."""
        return hashlib.sha256(self._value.encode("utf-8", "surrogatepass")).hexdigest()[:8]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret does not change")

    def __reduce__(self) -> NoReturn:
        # A pickle would hold the value in clear.
        raise TypeError("a secret is not pickled")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    @classmethod
    def _validate(cls, value: object) -> "Secret":
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise secret_rule(f"must be text, is {kind_of(value)}", value)
        return cls(value)

    def _written(self) -> str | dict[str, str]:
        return MASK

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls._written, return_schema=core_schema.any_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string"}


class Credential(Secret):
    """A secret of a provider, written in the document as text or as `{file: PATH}`.

    `file` is the path as written, or None. One that was validated but not read (no loader came by) cannot be
    revealed.
    """

    __slots__ = ("file", "resolved")
    file: str | None
    resolved: bool

    def __init__(self, value: str | None, file: str | None = None) -> None:
        super().__init__(value or "")
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "resolved", value is not None)

    def reveal(self) -> str:
        if not self.resolved:
            raise ValueError("this credential was not read: load the document with load_text or load_file")
        return super().reveal()

    @classmethod
    def _validate(cls, value: object) -> "Credential":
        if isinstance(value, Credential):
            return value
        path = file_of(value)
        if path is not None:
            return cls(None, path)
        if not isinstance(value, str):
            raise secret_rule(f"must be text or {{file: PATH}}, is {kind_of(value)}", value)
        fault = credential_fault(value)
        if fault is not None:
            raise rule(fault)
        return cls(value)

    def _written(self) -> str | dict[str, str]:
        return MASK if self.file is None else {"file": self.file}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        file = {"file": {"type": "string", "minLength": 1, "description": "Path, relative to the document."}}
        return {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", "properties": file, "required": ["file"], "additionalProperties": False},
            ]
        }


def secret_rule(sentence: str, value: object) -> PydanticCustomError:
    """A validator's error about a secret: what kind of thing stands there, never the thing."""
    quote = ": quote it" if isinstance(value, bool | int | float) else ""
    return rule(sentence + quote)


def file_of(value: object) -> str | None:
    """PATH of `{file: PATH}`, else None."""
    if (
        isinstance(value, dict)
        and set(value) == {"file"}
        and isinstance(value["file"], str)
        and value["file"]
    ):
        return str(value["file"])
    return None


def header_value(value: str) -> str:
    """A validator: the value itself, if a header can carry it."""
    fault = credential_fault(value)
    if fault is not None:
        raise rule(fault)
    return value


def credential_fault(value: str) -> str | None:
    """Why `value` cannot be sent as a header, as a sentence that does not show it; None when it can."""
    if not value:
        return "must not be empty"
    if not _HEADER_SAFE.fullmatch(value):
        return "must be printable ASCII without line breaks or outer spaces, to be sent as a header"
    return None
