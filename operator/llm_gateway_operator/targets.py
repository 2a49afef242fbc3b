"""Rules between the targets of a gateway's models and the providers that it serves."""

from collections.abc import Collection, Iterator, Mapping

from llm_gateway_config.problems import did_you_mean
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.gateway import LLMGateway, RoutedModel, Target
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.objects import Finding, Found, Key, Objects, Path


def check_targets(
    objects: Objects, gateway: Found[LLMGateway], served: Mapping[str, Found[LLMProvider]]
) -> Iterator[Finding]:
    """A target names a provider that the gateway serves, and a model that this provider lists."""
    routing = gateway.value.spec.routing
    for index, model in enumerate(routing.models if routing else ()):
        for position, target in enumerate(model.targets):
            path: Path = ("spec", "routing", "models", index, "targets", position)
            provider = served.get(target.provider)
            if provider is None:
                yield from _not_served(objects, gateway, path, target, served)
            elif target.model not in (names := _models(provider)):
                hint = did_you_mean(target.model, names)
                yield gateway.problem(
                    (*path, "model"),
                    f"provider {target.provider} has no model {target.model}{hint}",
                    Reason.MODEL_NOT_FOUND,
                )


def answerable(
    model: RoutedModel, selected: Mapping[str, Found[LLMProvider]], usable: Collection[str]
) -> list[Target]:
    """The targets that a gateway can try: those of providers in `usable` that list the model."""
    return [
        target
        for target in model.targets
        if target.provider in usable and target.model in _models(selected[target.provider])
    ]


def _models(provider: Found[LLMProvider]) -> list[str]:
    return [entry.name for entry in provider.value.spec.models]


def _not_served(
    objects: Objects,
    gateway: Found[LLMGateway],
    path: Path,
    target: Target,
    served: Mapping[str, Found[LLMProvider]],
) -> Iterator[Finding]:
    key = Key(gateway.key.namespace, target.provider)
    if objects.is_unreadable("LLMProvider", key) or _is_reference(gateway, target.provider):
        return
    if key in objects.providers:
        said = f"provider {target.provider} is not among those that spec.providers selects"
    else:
        hint = did_you_mean(target.provider, served)
        said = f"no LLMProvider {target.provider} in namespace {key.namespace}{hint}"
    yield gateway.problem((*path, "provider"), said, Reason.PROVIDER_NOT_FOUND)


def _is_reference(gateway: Found[LLMGateway], name: str) -> bool:
    """Whether `name` is given to a provider of another namespace: why it is not served was told of the reference."""
    wanted = gateway.value.spec.providers
    return any(ref.name == name and ref.source is not None for ref in (wanted.refs if wanted else None) or ())
