"""`LLMProvider`: one upstream, its credential, models and prices. Shape: api.md.

The text below a field is its description in the CRD, and what `kubectl explain` prints.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from llm_gateway_operator.api.common import Metadata, Part, SecretRef
from llm_gateway_operator.api.scalars import (
    AtLeastOne,
    BaseUrl,
    Count,
    Dollars,
    Duration,
    HeaderName,
    HeaderValue,
    ModelName,
    PositiveDuration,
    ProxyUrl,
)
from llm_gateway_operator.api.selector import Selector


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


class Consent(StrEnum):
    SAME = "Same"
    SELECTOR = "Selector"
    ALL = "All"


class Auth(Part):
    """How this provider is told who calls. `type` absent: APIKey."""

    type: AuthType | None = None
    """APIKey, also when absent: the key in secretRef. None: no credential is sent."""
    secret_ref: SecretRef | None = None
    """Where the API key is. Required with APIKey, absent with None."""

    @property
    def wants_secret(self) -> bool:
        return self.type is not AuthType.NONE


class Price(Part):
    """US dollars per million tokens."""

    input: Dollars
    """Price of a million input tokens in US dollars, in quotes."""
    output: Dollars
    """Price of a million output tokens in US dollars, in quotes."""
    cached_input: Dollars | None = None
    """Price of a million input tokens that the upstream had cached. Absent: what input costs."""


class Model(Part):
    """A model that clients may ask for."""

    map_keys = ("name",)

    name: ModelName
    """What clients ask for. Also as PROVIDER/NAME, which is this provider's model alone."""
    upstream_model: ModelName | None = None
    """Its name at the upstream. Absent: the same."""
    price: Price | None = None
    """What it costs, for metrics of cost. Absent: nothing is counted."""


class Timeouts(Part):
    """The ladder of one attempt; each step absent: the gateway's default."""

    connect: PositiveDuration | None = None
    """Until the connection stands, TLS included. Absent: 5s."""
    headers: PositiveDuration | None = None
    """From the sent request to the head of a stream's answer. Absent: 60s."""
    first_token: PositiveDuration | None = None
    """From the head of a stream to its first content. Absent: 60s."""
    idle: PositiveDuration | None = None
    """Longest silence within a stream. Absent: 60s."""
    total: PositiveDuration | None = None
    """The whole request, other attempts included. Absent: 10m."""


class Header(Part):
    """One more header of every request to this upstream: either a value or a reference to one."""

    map_keys = ("name",)

    name: HeaderName
    """Name of the header; its case means nothing."""
    value: HeaderValue | None = None
    """The value itself. Excludes secretRef, which is for what must not be read here."""
    secret_ref: SecretRef | None = None
    """Where the value is. Excludes value."""


class MockFault(Part):
    """A fault on cue. The last four are read where `kind` has a use for them."""

    kind: FaultKind
    """What goes wrong."""
    status: Annotated[int, Field(strict=True, ge=400, le=599)] | None = None
    """With kind Status: the HTTP status. Absent: 500."""
    retry_after: Duration | None = None
    """With kind Status: the Retry-After. Absent: no such header."""
    after_tokens: Count | None = None
    """With Cut, Stall, Malformed and ErrorEvent: tokens before the fault. Absent: 3."""
    rate_percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    """Share of requests that meet the fault. Absent: all."""


class Mock(Part):
    """How the built-in provider answers; each absent: the gateway's default."""

    first_token: Duration | None = None
    """Time before the first token. Absent: none."""
    tokens_per_second: Count | None = None
    """Speed of an answer. Absent or 0: no delay."""
    answer_tokens: Count | None = None
    """Length of an answer of filler text. Absent: 16."""
    fault: MockFault | None = None
    """A fault to play. Absent: none."""


class Proxy(Part):
    """An egress proxy."""

    url: ProxyUrl
    """http://HOST:PORT of the proxy; no user name or password."""


class AllowedNamespaces(Part):
    """`from` as in Gateway API's allowedRoutes."""

    source: Annotated[Consent, Field(alias="from")]
    """Same: only this namespace. All: every namespace. Selector: namespaces by their labels."""
    selector: Selector | None = None
    """With from Selector: labels of namespaces; kubernetes.io/metadata.name is a namespace's name."""


class AllowedGateways(Part):
    """Consent to gateways elsewhere."""

    namespaces: AllowedNamespaces | None = None
    """Namespaces whose gateways may name this provider. Absent: only its own."""


class ProviderSpec(Part):
    type: ProviderType
    """The dialect that the upstream speaks."""
    base_url: Annotated[BaseUrl | None, Field(alias="baseURL")] = None
    """Where the API is, up to and without /chat/completions. Absent: the vendor's own."""
    auth: Auth | None = None
    """The credential that is sent upstream. Absent: none, which type OpenAI does not take."""
    models: Annotated[tuple[Model, ...], Field(max_length=512), AtLeastOne]
    """The models that are served."""
    timeouts: Timeouts | None = None
    """Deadlines of an attempt. Each absent: the gateway's default."""
    headers: Annotated[tuple[Header, ...], Field(max_length=32)] = ()
    """More headers of every request to this upstream."""
    proxy: Proxy | None = None
    """An egress proxy. Absent: connect directly."""
    allowed_gateways: AllowedGateways | None = None
    """Which gateways may serve this provider, and so are handed its credentials. Absent: those of its own
    namespace."""
    mock: Mock | None = None
    """How type Mock answers."""


class LLMProvider(Part):
    """One upstream for LLM gateways: how it is reached, its credential, its models and what they cost."""

    api_version: Literal["llmgateway.dev/v1alpha1"]
    kind: Literal["LLMProvider"]
    metadata: Metadata
    spec: ProviderSpec
    """What is wanted."""
