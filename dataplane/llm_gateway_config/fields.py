"""Leaf types of the document: numbers, names, addresses.

Rule: one annotated type per kind of value, each with one sentence for what is expected. A URL is never shown
in a message: people put keys into URLs.
"""

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from llm_gateway_config.problems import expected, rule

PROVIDER_ID_PATTERN = r"^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$"
MODEL_NAME_PATTERN = r"^[^*\x00-\x1f\x7f]{1,256}$"
HEADER_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
REVISION_PATTERN = r"^[A-Za-z0-9._-]{1,128}$"

LARGEST_COUNT = 1_000_000_000

_PROVIDER_ID = re.compile(PROVIDER_ID_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_NAME = re.compile(HEADER_NAME_PATTERN)
_REVISION = re.compile(REVISION_PATTERN)
_DIGITS = re.compile(r"-?[0-9]{1,18}")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?\.?")
_URL_CHARACTERS = re.compile(r"[\x21-\x7e]+")

# The connection and the length of a body are the gateway's own business (RFC 9110, 7.6.1); a second value of
# one of these would make the request mean two things.
RESERVED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _whole(value: object) -> object:
    # Text of digits is taken because `{port: "${PORT}"}` must be quoted inside braces and in JSON.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise expected("a whole number")
    return value


def _yes_or_no(value: object) -> object:
    value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, bool):
        raise expected("true or false")
    return value


Whole = BeforeValidator(_whole)
Bool = Annotated[bool, BeforeValidator(_yes_or_no)]
Port = Annotated[int, Field(ge=0, le=65535), Whole]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT), Whole]
PositiveCount = Annotated[int, Field(ge=1, le=LARGEST_COUNT), Whole]
Percent = Annotated[int, Field(ge=0, le=100), Whole]
ErrorStatus = Annotated[int, Field(ge=400, le=599), Whole]


def _text(value: str) -> str:
    if not value:
        raise rule("must not be empty")
    if _CONTROL.search(value):
        raise rule("must not hold control characters or line breaks")
    return value


def _provider_id(value: str) -> str:
    if not _PROVIDER_ID.fullmatch(value):
        raise rule(
            "a provider's id must be lower-case letters, digits, '-', '_' and '.', at most 63 of them, "
            "with a letter or digit at both ends"
        )
    return value


def _model_name(value: str) -> str:
    _text(value)
    if len(value) > 256:
        raise rule(f"must be at most 256 characters long, is {len(value)}")
    if "*" in value:
        raise expected("a name without *")
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise rule("must be the name of an HTTP header: letters, digits and hyphens")
    if value.lower() in RESERVED_HEADERS:
        raise rule(f"must not be set: the gateway itself sets {value.lower()}")
    return value


def _revision(value: str) -> str:
    if not _REVISION.fullmatch(value):
        raise expected("1 to 128 letters, digits, '.', '_' or '-'")
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not _HOST_NAME.fullmatch(value):
            raise expected("an address or host name to listen on, like 127.0.0.1") from None
    return value


def _split(value: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """The parts of a URL that is sound so far: characters, scheme, host, port, and nothing beside a path."""
    wanted = f"must be a URL like {example}"
    if not _URL_CHARACTERS.fullmatch(value):
        raise rule(f"{wanted}, without spaces or line breaks")
    try:
        parts = urlsplit(value)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        raise rule(f"{wanted}: its host or port cannot be read") from None
    if parts.scheme not in schemes or not parts.netloc:
        raise rule(f"{wanted}: it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise rule("must not hold a user name or password")
    if not parts.hostname or not port_is_sound:
        raise rule(f"{wanted}: its host or port cannot be read")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise rule("must not have a query or a fragment")
    return parts


def _is_link_local(host: str) -> bool:
    # Cloud metadata services live there. Other spellings and names are looked at when connecting.
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_link_local


def _base_url(value: str) -> str:
    parts = _split(value, ("http", "https"), "https://api.example.com/v1")
    if _is_link_local(parts.hostname or ""):
        raise rule("must not be a link-local address (169.254.0.0/16, fe80::/10)")
    return value.rstrip("/")


def _proxy_url(value: str) -> str:
    parts = _split(value, ("http",), "http://proxy.example.com:3128")
    if parts.port is None or parts.path not in ("", "/"):
        raise rule("must be a URL like http://proxy.example.com:3128: host and port, no path")
    return value.rstrip("/")


def _origin(value: str) -> str:
    if value == "*":
        return value
    parts = _split(value, ("http", "https"), "https://app.example.com, or *")
    if parts.path:
        raise rule("must be an origin like https://app.example.com: no path, no / at the end")
    return value


def _some_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    # Not min_length: pydantic counts only the sound items, and would call a list of one bad origin empty.
    if not value:
        raise rule("must hold at least one origin")
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_text)]
ProviderId = Annotated[
    str, AfterValidator(_provider_id), Field(json_schema_extra={"pattern": PROVIDER_ID_PATTERN})
]
ModelName = Annotated[
    str, AfterValidator(_model_name), Field(json_schema_extra={"pattern": MODEL_NAME_PATTERN})
]
HeaderName = Annotated[
    str, AfterValidator(_header_name), Field(json_schema_extra={"pattern": HEADER_NAME_PATTERN})
]
Revision = Annotated[str, AfterValidator(_revision), Field(json_schema_extra={"pattern": REVISION_PATTERN})]
Host = Annotated[str, AfterValidator(_host)]
BaseUrl = Annotated[str, AfterValidator(_base_url), Field(json_schema_extra={"pattern": "^https?://"})]
ProxyUrl = Annotated[str, AfterValidator(_proxy_url), Field(json_schema_extra={"pattern": "^http://"})]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], AfterValidator(_some_origins)]
AnyCase = BeforeValidator(_lower)
