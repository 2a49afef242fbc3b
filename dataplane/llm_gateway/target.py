"""What a route leads to: a provider as it runs, and one model of it."""

from dataclasses import dataclass
from decimal import Decimal

from llm_gateway.providers.base import Adapter
from llm_gateway.upstream.pool import Pool
from llm_gateway.wire.chat import Usage


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total` counts from the request's arrival, all attempts included; the others from their own start."""

    connect: float
    headers: float
    first_token: float
    idle: float
    total: float


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


def cost(usage: Usage | None, price: Price | None) -> Decimal | None:
    """US dollars; None without usage or price. Cached tokens are part of the prompt's, at a price of their own."""
    if usage is None or price is None:
        return None
    fresh = usage.prompt - usage.cached
    return fresh * price.input + usage.cached * price.cached_input + usage.completion * price.output


@dataclass(frozen=True, slots=True)
class Provider:
    id: str
    adapter: Adapter
    timeouts: Timeouts


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """`name` is `provider/model` as the document has it: what logs and messages say."""

    provider: Provider
    pool: Pool
    model: str
    upstream_model: str
    price: Price | None
    weight: int | None = None
    priority: int = 0

    @property
    def name(self) -> str:
        return f"{self.provider.id}/{self.model}"
