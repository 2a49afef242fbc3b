"""Quantities as a document writes them: durations, sizes, prices.

Rule: text with a unit outside, one plain number inside (seconds as float, bytes as int, dollars as Decimal).
A bare number is an error, because nobody remembers whether 30 meant seconds.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from llm_gateway_config.problems import expected, show_value

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
SIZE_PATTERN = r"^[0-9]{1,12}(B|kB|KB|MB|GB|KiB|MiB|GiB)$"
DOLLARS_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"

_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
_SIZE = re.compile(r"([0-9]{1,12})(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_DOLLARS = re.compile(DOLLARS_PATTERN)

_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
# Largest first. `kB` is read as `KB`, the spelling that people use, and never written.
_BYTES = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "KB": 1000, "B": 1}

_A_DURATION = "a duration like 30s or 1m30s"
_A_SIZE = "a size like 10MB or 64KiB"
_A_PRICE = 'dollars per million tokens in quotes, like "2.50"'


def parse_duration(text: str) -> float:
    """Seconds of `500ms`, `1m30s`, `0s`. ValueError with a whole sentence otherwise."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"must be {_A_DURATION}, is {show_value(text)}")
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text)) / 1000


def format_duration(seconds: float) -> str:
    """The text that `parse_duration` reads back, to the millisecond."""
    rest = round(seconds * 1000)
    text = ""
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_size(text: str) -> int:
    """Bytes of `10MB` (decimal), `64KiB` (binary), `100B`. ValueError with a whole sentence otherwise."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {_A_SIZE}, is {show_value(text)}")
    return int(found[1]) * _BYTES[found[2].replace("kB", "KB")]


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back."""
    exact = [f"{size // factor}{unit}" for unit, factor in _BYTES.items() if size % factor == 0]
    return min(exact, key=len) if size else "0B"


class _Unit:
    """A pydantic annotation: text that `parse` reads, JSON that `write` makes, and words for what is
    expected.
    """

    def __init__(
        self,
        parse: Callable[[str], Any],
        write: Callable[[Any], str],
        pattern: str,
        what: str,
        hint: str,
        least: str | None = None,
    ) -> None:
        self._parse = parse
        self._write = write
        self._pattern = pattern
        self._what = what
        self._hint = hint
        self._least = least

    def _validate(self, value: object) -> Any:
        if not isinstance(value, str):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            raise expected(self._what, self._hint if is_number else "")
        try:
            number = self._parse(value)
        except ValueError:
            raise expected(self._what) from None
        if self._least is not None and number < self._parse(self._least):
            raise expected(f"{self._least} or more")
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._write, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": self._pattern}


# Unquoted, 2.50 would be a binary float, and 0.1 would not be 0.1.
def _parse_dollars(text: str) -> Decimal:
    if not _DOLLARS.fullmatch(text):
        raise ValueError(f"must be {_A_PRICE}, is {show_value(text)}")
    return Decimal(text)


def _format_dollars(price: Decimal) -> str:
    return format(price, "f")


Duration = Annotated[
    float, _Unit(parse_duration, format_duration, DURATION_PATTERN, _A_DURATION, "write a unit")
]
"""Seconds as float inside, `1m30s` outside; `0s` is allowed and means off where the field says so."""

PositiveDuration = Annotated[
    float, _Unit(parse_duration, format_duration, DURATION_PATTERN, _A_DURATION, "write a unit", "1ms")
]
"""A `Duration` of at least a millisecond."""

Size = Annotated[int, _Unit(parse_size, format_size, SIZE_PATTERN, _A_SIZE, "write a unit", "1B")]
"""Bytes as int inside, `10MB` outside; at least one byte."""

Dollars = Annotated[Decimal, _Unit(_parse_dollars, _format_dollars, DOLLARS_PATTERN, _A_PRICE, "quote it")]
"""US dollars per million tokens: Decimal inside, quoted decimal text outside."""
