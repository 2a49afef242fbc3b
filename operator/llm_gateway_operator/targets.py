"""Rules between the targets of a gateway's models and the providers that it serves."""

from collections.abc import Iterator, Mapping

from llm_gateway_config.problems import Problem, did_you_mean
from llm_gateway_operator.api.gateway import LLMGateway, Target
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.objects import Found, Key, Objects, Path


def check_targets(
    objects: Objects, gateway: Found[LLMGateway], served: Mapping[str, Found[LLMProvider]]
) -> Iterator[Problem]:
    """A target names a provider that the gateway serves, and a model that this provider lists."""
    routing = gateway.value.spec.routing
    for index, model in enumerate(routing.models if routing else ()):
        for position, target in enumerate(model.targets):
            path: Path = ("spec", "routing", "models", index, "targets", position)
            provider = served.get(target.provider)
            if provider is None:
                yield from _not_served(objects, gateway, path, target, served)
            elif target.model not in (names := [entry.name for entry in provider.value.spec.models]):
                hint = did_you_mean(target.model, names)
                yield gateway.problem(
                    (*path, "model"), f"provider {target.provider} has no model {target.model}{hint}"
                )


def _not_served(
    objects: Objects,
    gateway: Found[LLMGateway],
    path: Path,
    target: Target,
    served: Mapping[str, Found[LLMProvider]],
) -> Iterator[Problem]:
    key = Key(gateway.value.metadata.namespace, target.provider)
    if objects.is_unreadable("LLMProvider", key):
        return
    if key in objects.providers:
        said = f"provider {target.provider} is not among those that spec.providers selects"
    else:
        hint = did_you_mean(target.provider, served)
        said = f"no LLMProvider {target.provider} in namespace {key.namespace}{hint}"
    yield gateway.problem((*path, "provider"), said)
