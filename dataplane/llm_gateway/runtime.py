"""A document, built into what requests use; and what all requests share.

A `Runtime` is made whole and never changed: a new document makes a new one. What outlives documents (pools, counters)
lives in `Gateway` and in `Upstreams`.
"""

import dataclasses
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from llm_gateway.drive import Clock
from llm_gateway.providers.registry import adapter
from llm_gateway.routing import Route, Routes
from llm_gateway.target import Price, Provider, Target, Timeouts
from llm_gateway.telemetry.instruments import Instruments
from llm_gateway.telemetry.log import RequestLog
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.upstream.pool import Pool
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_config import GatewayConfig, Loaded, ProviderType, Server
from llm_gateway_config import Model as ModelConfig
from llm_gateway_config import Price as PriceConfig
from llm_gateway_config import Provider as ProviderConfig

PER_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Runtime:
    """`models` are the names to list, with the provider that owns each; `open_providers` serve any name besides.

    `loaded_at` is in Unix seconds.
    """

    config: GatewayConfig
    revision: str
    routes: Routes
    models: Mapping[str, str]
    open_providers: tuple[str, ...]
    left_out: Mapping[str, str]
    unknown: tuple[str, ...]
    loaded_at: float = field(default_factory=time.time)


class Report(Protocol):
    def __call__(self, error: BaseException, request_id: str = "") -> None:
        """Log what should not have happened, with its traceback; `request_id`: the request that it happened to."""


@dataclass(slots=True, eq=False)
class Gateway:
    """What the requests of one process share. `runtime` is swapped; each request keeps the one it began with."""

    clock: Clock
    runtime: Runtime
    instruments: Instruments
    log: RequestLog
    report: Report
    random: Callable[[], float] = random.random
    held_size: int = 0  # bytes of answers that are held whole at this moment

    @property
    def limits(self) -> Server:
        return self.runtime.config.server

    def settle(self, record: RequestRecord) -> None:
        self.instruments.settle(record)
        self.log.append(record)

    def attempted(self, target: Target, outcome: str) -> None:
        self.instruments.attempts.child(target.provider.id, outcome).inc()


def build(loaded: Loaded, upstreams: Upstreams) -> Runtime:
    """Raises OSError when a file that the document names (a CA) cannot be used; nothing has changed then."""
    config = loaded.config
    served = [_Served(id_, provider, upstreams) for id_, provider in config.providers.items()]
    upstreams.retain({pool for provider in served for pool in provider.pools})
    return Runtime(
        config=config,
        revision=loaded.revision,
        routes=_routes(config, {provider.id: provider for provider in served}),
        models=_models(config, served),
        open_providers=tuple(provider.id for provider in served if provider.open),
        left_out=loaded.left_out,
        unknown=tuple(str(problem) for problem in loaded.unknown),
    )


class _Served:
    """A provider of the document with the targets it makes."""

    def __init__(self, id_: str, config: ProviderConfig, upstreams: Upstreams) -> None:
        timeouts = config.timeouts
        self.id = id_
        self.prefixes = config.open_models.prefixes if config.open_models is not None else ()
        self.open = config.open_models is not None
        self._provider = Provider(
            id_,
            adapter(config),
            Timeouts(timeouts.connect, timeouts.headers, timeouts.first_token, timeouts.idle, timeouts.total),
        )
        self._shared = upstreams.pool(config, None)
        # The mock decides by the model whether a connection can be had at all; real ones serve any model.
        own = config.type is ProviderType.MOCK
        self.targets = {
            model.name: self._target(model, upstreams.pool(config, model) if own else self._shared)
            for model in config.models
        }
        self.pools = {self._shared, *(target.pool for target in self.targets.values())}

    def _target(self, model: ModelConfig, pool: Pool) -> Target:
        price = _price(model.price) if model.price is not None else None
        return Target(self._provider, pool, model.name, model.upstream_model or model.name, price)

    def target(self, model: str) -> Target:
        """A model that the provider lists, or any at all when it is open."""
        return self.targets.get(model) or Target(self._provider, self._shared, model, model, None)


def _routes(config: GatewayConfig, served: Mapping[str, _Served]) -> Routes:
    """An exact name beats `provider/model`, and a name of routing.models beats the same name of providers."""
    routes: dict[str, Route] = {}
    by_model: dict[str, list[Target]] = defaultdict(list)
    for provider in served.values():
        for model, target in provider.targets.items():
            routes[target.name] = Route.to(target.name, [target])
            by_model[model].append(target)
    routes.update({name: Route.to(name, targets) for name, targets in by_model.items()})
    for name, routed in config.routing.models.items():
        targets = [
            dataclasses.replace(
                served[ref.provider].target(ref.model), weight=ref.weight, priority=ref.priority
            )
            for ref in routed.targets
        ]
        routes[name] = Route.to(name, targets)
    return Routes(
        routes,
        {provider.id: provider.target for provider in served.values() if provider.open},
        {prefix: provider.id for provider in served.values() for prefix in provider.prefixes},
    )


def _models(config: GatewayConfig, served: Sequence[_Served]) -> dict[str, str]:
    """Names to list and who owns each: of several providers the first."""
    owners = {name: provider.id for provider in reversed(served) for name in provider.targets}
    owners.update(dict.fromkeys(config.routing.models, "llm-gateway"))
    return dict(sorted(owners.items()))


def _price(price: PriceConfig) -> Price:
    cached = price.cached_input if price.cached_input is not None else price.input
    return Price(price.input / PER_MILLION, cached / PER_MILLION, price.output / PER_MILLION)
