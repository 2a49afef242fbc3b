"""Leaf types of the custom resources: what the API server and this program both check of a single value.

Each comes with its part of the CRD: a bound, and a CEL rule whose message says what to write. A `pattern` would say
only that it was not met, so rules stand where people can err.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from llm_gateway_config import fields, units
from llm_gateway_config.fields import LARGEST_COUNT
from llm_gateway_config.frozen import FrozenMap
from llm_gateway_config.problems import expected, rule
from llm_gateway_config.secret import header_value

# RFC 1123 subdomain; 63 characters and not 253, because names also become label values and ids of providers.
_OBJECT_NAME = "^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
_SECRET_KEY = "^[-._a-zA-Z0-9]{1,253}$"
_LABEL_KEY = 317  # characters: a prefix of 253, a slash, a name of 63
_LABEL_VALUE = 63
_ANNOTATION_VALUE = 4096
_MAP_ENTRIES = 64
_URL = 2048
_HEADER_VALUE = 4096

RULES = "x-kubernetes-validations"


def cel(expression: str, message: str) -> dict[str, str]:
    """One rule of a CRD. Kubernetes 1.25 is the floor: no `fieldPath`, no `messageExpression`."""
    return {"rule": expression, "message": message}


def _matches(pattern: str) -> str:
    # A raw string of CEL: backslashes stay as they are.
    return f"self.matches(r'{pattern}')"


def _string(longest: int, *rules: Mapping[str, str], shortest: int = 0) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "maxLength": longest}
    if shortest:
        schema["minLength"] = shortest
    if rules:
        schema[RULES] = [dict(each) for each in rules]
    return WithJsonSchema(schema)


def _map(longest: int) -> WithJsonSchema:
    values = {"type": "string", "maxLength": longest}
    return WithJsonSchema({"type": "object", "additionalProperties": values, "maxProperties": _MAP_ENTRIES})


def _object_name(value: str) -> str:
    if not re.fullmatch(_OBJECT_NAME, value):
        raise expected("a name of at most 63 lower-case letters, digits, - and .")
    return value


def _secret_key(value: str) -> str:
    if not re.fullmatch(_SECRET_KEY, value):
        raise expected("a key of a Secret: letters, digits, - _ and .")
    return value


class _AtLeastOne:
    """Not `min_length`, which would also speak up when the only entry is there but wrong."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_some, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "minItems": 1}


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise rule("must hold at least one entry")
    return value


AtLeastOne = _AtLeastOne()
NO_STRINGS: FrozenMap[str] = FrozenMap()

ObjectName = Annotated[
    str,
    AfterValidator(_object_name),
    _string(
        63,
        cel(_matches(_OBJECT_NAME), "must be a name of at most 63 lower-case letters, digits, '-' and '.'"),
    ),
]
SecretKey = Annotated[
    str,
    AfterValidator(_secret_key),
    _string(253, cel(_matches(_SECRET_KEY), "must be a key of a Secret: letters, digits, '-', '_' and '.'")),
]
ModelName = Annotated[
    fields.ModelName,
    _string(
        256,
        cel("!self.contains('*')", "must be the name of one model: '*' is not supported"),
        # In the words of RE2: `\x{...}` is what Python writes as `\u...`.
        cel(
            "!" + _matches(r"[\x00-\x1f\x7f-\x9f\x{2028}\x{2029}]"),
            "must not hold control characters or line breaks",
        ),
        shortest=1,
    ),
]
BaseUrl = Annotated[
    fields.BaseUrl,
    Field(max_length=_URL),
    _string(
        _URL,
        cel(
            "self.startsWith('http://') || self.startsWith('https://')",
            "must be a URL like https://api.example.com/v1: it must begin with http:// or https://",
        ),
        cel(
            _matches(
                r"^[a-z]+://([^/?#@]*@)?(\[[0-9a-fA-F:.%a-z]+\]|[A-Za-z0-9][A-Za-z0-9_.-]*)(:[0-9]{1,5})?(/.*)?$"
            ),
            "must be a URL like https://api.example.com/v1: its host or port cannot be read, or it has a query",
        ),
        cel(
            "!" + _matches("^[a-z]+://[^/?#]*@"),
            "must not hold a user name or password: write auth.secretRef",
        ),
        cel("!" + _matches(r"[?#]"), "must not have a query or a fragment"),
        cel("!" + _matches(r"[^\x21-\x7e]"), "must be printable ASCII without spaces"),
        cel(
            "!"
            + _matches(
                r"^https?://(169[.]254[.][0-9]+[.][0-9]+([:/]|$)|\[(?i:fe[89ab][0-9a-f]:|::ffff:169[.]254[.]|::ffff:a9fe:))"
            ),
            "must not be a link-local address (169.254.0.0/16, fe80::/10)",
        ),
    ),
]
ProxyUrl = Annotated[
    fields.ProxyUrl,
    Field(max_length=_URL),
    _string(
        _URL,
        cel(
            _matches(r"^http://(\[[0-9a-fA-F:.%a-z]+\]|[A-Za-z0-9][A-Za-z0-9_.-]*):[0-9]{1,5}/?$"),
            "must be a URL like http://proxy.example.com:3128: host and port, no path, no user name or password",
        ),
    ),
]
HeaderName = Annotated[
    fields.HeaderName,
    _string(
        128,
        cel(
            _matches(fields.HEADER_NAME_PATTERN.replace("'", r"\x27")),
            "must be the name of an HTTP header: letters, digits and hyphens",
        ),
        cel(
            f"!(self.lowerAscii() in {sorted(fields.RESERVED_HEADERS)})",
            "must not be a header that the gateway itself sets, like host or content-length",
        ),
    ),
]
HeaderValue = Annotated[
    str,
    Field(max_length=_HEADER_VALUE),
    AfterValidator(header_value),
    _string(
        _HEADER_VALUE,
        cel(
            _matches(r"^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$"),
            "must be printable ASCII without line breaks or outer spaces, to be sent as a header",
        ),
    ),
]

_A_DURATION = cel(_matches(units.DURATION_PATTERN), "must be a duration like 30s or 1m30s")

Duration = Annotated[units.Duration, _string(32, _A_DURATION)]
PositiveDuration = Annotated[
    units.PositiveDuration,
    _string(32, _A_DURATION, cel(_matches("[1-9]"), "must be 1ms or more: leave it out for the default")),
]
Dollars = Annotated[
    units.Dollars,
    _string(
        19,
        cel(
            _matches(units.DOLLARS_PATTERN),
            'must be dollars per million tokens in quotes, like "2.50": at most 9 digits on each side',
        ),
    ),
]

LabelKey = Annotated[str, Field(min_length=1, max_length=_LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=_LABEL_VALUE)]
Labels = Annotated[FrozenMap[str], _map(_LABEL_VALUE)]
Annotations = Annotated[FrozenMap[str], _map(_ANNOTATION_VALUE)]

# Strict, because the API server takes neither `true` nor "3" for a number.
Count = Annotated[int, Field(strict=True, ge=0, le=LARGEST_COUNT)]
Flag = Annotated[bool, Field(strict=True)]
