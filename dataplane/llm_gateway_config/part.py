"""What every model of the document is.

Rule: frozen; inputs never appear in pydantic's own messages; a key without a value (`telemetry:`) counts as
absent. Whether unknown fields are refused is decided by the caller of `model_validate(extra=...)`, not by the
model.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Part(BaseModel):
    """A map of the document with known fields."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _absent_when_empty(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            # An unknown field stays, so that it is still reported.
            return {
                key: value for key, value in data.items() if value is not None or key not in cls.model_fields
            }
        return data
