"""`LLMProvider`: one upstream, its credential, models and prices. Shape: api.md."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from llm_gateway_config.fields import BaseUrl, HeaderName, ModelName
from llm_gateway_config.problems import rule
from llm_gateway_config.secret import credential_fault
from llm_gateway_config.units import Dollars, Duration, PositiveDuration
from llm_gateway_operator.api.common import AtLeastOne, Count, Metadata, Part, SecretRef


class ProviderType(StrEnum):
    OPENAI = "OpenAI"
    OPENAI_COMPATIBLE = "OpenAICompatible"
    MOCK = "Mock"


class AuthType(StrEnum):
    API_KEY = "APIKey"
    NONE = "None"


class FaultKind(StrEnum):
    STATUS = "Status"
    REFUSE = "Refuse"
    RESET = "Reset"
    SILENCE = "Silence"
    CUT = "Cut"
    STALL = "Stall"
    MALFORMED = "Malformed"
    NO_DONE = "NoDone"
    ERROR_EVENT = "ErrorEvent"
    HTML = "HTML"
    EMPTY = "Empty"


def _header_value(value: str) -> str:
    fault = credential_fault(value)
    if fault is not None:
        raise rule(fault)
    return value


HeaderValue = Annotated[str, AfterValidator(_header_value)]


class Auth(Part):
    """How this provider is told who calls. `type` absent: APIKey."""

    type: AuthType | None = None
    secret_ref: SecretRef | None = None

    @property
    def wants_secret(self) -> bool:
        return self.type is not AuthType.NONE


class Price(Part):
    """US dollars per million tokens. `cachedInput` absent: cached tokens cost what input costs."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None


class Model(Part):
    """A model that clients may ask for. `upstreamModel` absent: the upstream knows it by the same name."""

    name: ModelName
    upstream_model: ModelName | None = None
    price: Price | None = None


class Timeouts(Part):
    """The ladder of one attempt; each step absent: the gateway's default."""

    connect: PositiveDuration | None = None
    headers: PositiveDuration | None = None
    first_token: PositiveDuration | None = None
    idle: PositiveDuration | None = None
    total: PositiveDuration | None = None


class Header(Part):
    """One more header of every request to this upstream: either a value or a reference to one."""

    name: HeaderName
    value: HeaderValue | None = None
    secret_ref: SecretRef | None = None


class MockFault(Part):
    """A fault on cue. The last four are read where `kind` has a use for them."""

    kind: FaultKind
    status: Annotated[int, Field(strict=True, ge=400, le=599)] | None = None
    retry_after: Duration | None = None
    after_tokens: Count | None = None
    rate_percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None


class Mock(Part):
    """How the built-in provider answers; each absent: the gateway's default."""

    first_token: Duration | None = None
    tokens_per_second: Count | None = None
    answer_tokens: Count | None = None
    fault: MockFault | None = None


class ProviderSpec(Part):
    """`baseURL` absent: the vendor's own; `auth` absent: no credential."""

    type: ProviderType
    base_url: Annotated[BaseUrl | None, Field(alias="baseURL")] = None
    auth: Auth | None = None
    models: Annotated[tuple[Model, ...], AtLeastOne, Field(max_length=512)]
    timeouts: Timeouts | None = None
    headers: tuple[Header, ...] = ()
    mock: Mock | None = None


class LLMProvider(Part):
    api_version: Literal["llmgateway.dev/v1alpha1"]
    kind: Literal["LLMProvider"]
    metadata: Metadata
    spec: ProviderSpec
