"""Custom resources in, the contract's document out. Pure: no I/O, no clock, the same input gives the same
output.

The document is plain data with the words of `gateway.yaml`. Every text in it is escaped, so that nothing
that a custom resource says can read the environment of the gateway's process.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from llm_gateway_config.document import CONTRACT, Server
from llm_gateway_config.problems import in_order
from llm_gateway_config.secret import Secret
from llm_gateway_config.substitute import escape
from llm_gateway_config.units import format_duration
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.gateway import LLMGateway, RoutedModel, Target
from llm_gateway_operator.api.provider import LLMProvider, Mock, Model, Price
from llm_gateway_operator.credentials import API_KEY, Credentials, resolve
from llm_gateway_operator.drain import drain_timeout
from llm_gateway_operator.objects import Finding, Found, Key, Objects
from llm_gateway_operator.secrets import SecretSource
from llm_gateway_operator.selection import Selection, select
from llm_gateway_operator.targets import answerable, check_targets

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the gateway's process listens; None: what the LLMGateway says, then the gateway's default.

    `drain_floor`: seconds that it drains at least where the LLMGateway is silent, by the rule of `drain`.
    """

    host: str | None = None
    port: int | None = None
    metrics_port: int | None = None
    drain_floor: float | None = None


def in_pod(drain_floor: float = 0.0) -> Listen:
    """For a pod. `drain_floor`: seconds that its Deployment was last rendered with; 0 where there is none."""
    return Listen(host="0.0.0.0", drain_floor=drain_floor)


@dataclass(frozen=True, slots=True)
class Translated:
    """`document` holds only what can be served: what `problems`, `left_out` and `warnings` are about is not in it.

    A folder with `problems` is refused whole all the same: its author is at the keyboard. In a cluster the rest is
    served and they become conditions. `left_out`: provider -> why it is not in the document; `warnings`: what is
    not served in consequence. `credentials`: path relative to the document -> value. `origins`: provider -> where
    its API key is from. `selection`: the providers asked for, those left out among them.
    """

    document: Mapping[str, Any]
    credentials: Mapping[str, Secret]
    problems: tuple[Finding, ...]
    left_out: Mapping[str, Finding]
    warnings: tuple[Finding, ...]
    origins: Mapping[str, str]
    selection: Selection


def translate(objects: Objects, key: Key, secrets: SecretSource, listen: Listen) -> Translated:
    """The document of the gateway `key`, which must be in `objects`."""
    gateway = objects.gateways[key]
    selection = select(objects, gateway)
    resolved = {name: resolve(found, secrets) for name, found in selection.providers.items()}
    left_out = {name: answer for name, answer in resolved.items() if isinstance(answer, Finding)}
    usable = {name: answer for name, answer in resolved.items() if isinstance(answer, Credentials)}

    document: Data = {"contract": CONTRACT}
    document["server"] = _server(gateway.value, listen, selection)
    document["providers"] = {
        name: _provider(selection.providers[name].value, credentials) for name, credentials in usable.items()
    }
    document["routing"] = _routing(gateway.value, selection, usable)
    document = {name: part for name, part in _escaped(document).items() if part != {}}
    return Translated(
        document={"contract": CONTRACT, "revision": _revision(document), **document},
        credentials={name: value for answer in usable.values() for name, value in answer.files.items()},
        # After selection: a target is judged by the providers that this gateway really has.
        problems=in_order(
            [
                *selection.problems,
                *check_targets(objects, gateway, selection.providers),
                *_same_port(gateway, listen),
            ]
        ),
        left_out=left_out,
        warnings=(
            *_nothing_selected(objects, gateway, selection),
            *_without_targets(gateway, selection, usable),
        ),
        origins={
            name: answer.origins[API_KEY] for name, answer in usable.items() if API_KEY in answer.origins
        },
        selection=selection,
    )


def _server(gateway: LLMGateway, listen: Listen, selection: Selection) -> Data:
    spec = gateway.spec
    metrics_port = _metrics_port(listen)
    port = listen.port or next((each.port for each in spec.listeners if each.port != metrics_port), None)
    drain = spec.drain_timeout
    if drain is None and listen.drain_floor is not None:
        drain = drain_timeout((found.value for found in selection.providers.values()), listen.drain_floor)
    return _present(
        host=listen.host,
        port=port,
        metrics_port=listen.metrics_port,
        graceful_shutdown_timeout=None if drain is None else format_duration(drain),
    )


def _same_port(gateway: Found[LLMGateway], listen: Listen) -> Iterator[Finding]:
    metrics_port = _metrics_port(listen)
    for index, listener in enumerate(gateway.value.spec.listeners):
        if listen.port is None and listener.port == metrics_port:
            yield gateway.problem(
                ("spec", "listeners", index, "port"), f"must not be the port of the metrics, {metrics_port}"
            )


def _metrics_port(listen: Listen) -> int:
    return listen.metrics_port or Server().metrics_port


def _provider(provider: LLMProvider, credentials: Credentials) -> Data:
    spec = provider.spec
    key = credentials.by_place.get(API_KEY)
    headers = {
        header.name: {"file": credentials.by_place[("spec", "headers", index, "secretRef")]}
        if header.value is None
        else header.value
        for index, header in enumerate(spec.headers)
    }
    return _present(
        type=spec.type.name.lower(),
        base_url=spec.base_url,
        api_key={"file": key} if key else None,
        models=[_model(model) for model in _by_name(spec.models)],
        timeouts=_plain(spec.timeouts) if spec.timeouts else None,
        headers={name: headers[name] for name in sorted(headers)},
        proxy=_plain(spec.proxy) if spec.proxy else None,
        mock=_mock(spec.mock) if spec.mock else None,
    )


def _model(model: Model) -> Data | str:
    if model.upstream_model is None and model.price is None:
        return model.name
    return _present(
        name=model.name,
        upstream_model=model.upstream_model,
        price=_price(model.price) if model.price else None,
    )


def _price(price: Price) -> Data:
    dollars = {"input": price.input, "output": price.output, "cached_input": price.cached_input}
    # "f": the shortest form of 0.0000001 would be 1E-7, which is no price.
    return {name: format(value, "f") for name, value in dollars.items() if value is not None}


def _mock(mock: Mock) -> Data:
    options = _plain(mock)
    if mock.fault is not None:
        options["fault"]["kind"] = mock.fault.kind.name.lower()
    return options


def _routing(gateway: LLMGateway, selection: Selection, usable: Collection[str]) -> Data:
    routing = gateway.spec.routing
    if routing is None:
        return {}
    targets = {model.name: _targets(model, selection, usable) for model in _by_name(routing.models)}
    models = {
        name: {"targets": [_plain(target) for target in kept]} for name, kept in targets.items() if kept
    }
    return _present(strategy=routing.strategy.name.lower() if routing.strategy else None, models=models)


def _targets(model: RoutedModel, selection: Selection, usable: Collection[str]) -> list[Target]:
    # Lists of resources are maps: their order means nothing, so the document's is that of trying, then of
    # names.
    kept = answerable(model, selection.providers, usable)
    return sorted(kept, key=lambda target: (target.priority or 0, target.provider, target.model))


def _nothing_selected(
    objects: Objects, gateway: Found[LLMGateway], selection: Selection
) -> Iterator[Finding]:
    if not selection.providers and not selection.problems and not objects.unreadable:
        yield gateway.problem(
            ("spec", "providers"), "selects no LLMProvider: no model is served", Reason.NO_MODELS
        )


def _without_targets(
    gateway: Found[LLMGateway], selection: Selection, usable: Collection[str]
) -> Iterator[Finding]:
    """Models whose targets are sound, but whose providers are all left out."""
    routing = gateway.value.spec.routing
    for index, model in enumerate(routing.models if routing else ()):
        sound = answerable(model, selection.providers, selection.providers)
        if sound and not answerable(model, selection.providers, usable):
            yield gateway.problem(
                ("spec", "routing", "models", index),
                f"{model.name} is not served: all its providers are left out",
                Reason.NO_MODELS,
            )


def _by_name(entries: Iterable[Any]) -> list[Any]:
    return sorted(entries, key=lambda entry: entry.name)


def _plain(part: BaseModel) -> Data:
    """A part of a resource in the contract's words: snake_case, durations as text, without what is absent."""
    return part.model_dump(mode="json", by_alias=False, exclude_none=True)


def _present(**fields: Any) -> Data:
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return escape(value)
        case dict():
            return {name: _escaped(entry) for name, entry in value.items()}
        case list():
            return [_escaped(entry) for entry in value]
    return value


def _revision(document: Data) -> str:
    # The fingerprints of the credentials are in it: they are part of the names of the files.
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
