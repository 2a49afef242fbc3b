"""Which providers a gateway serves: those its selector matches and those it names, of its own namespace.

A provider of another namespace never joins by label or by an equal name (api.md, rule 6).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from llm_gateway_config.problems import Problem, did_you_mean
from llm_gateway_operator.api.gateway import LLMGateway, Operator, ProviderRef, Requirement, Selector
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.objects import Found, Key, Objects


@dataclass(frozen=True, slots=True)
class Selection:
    """The providers of one gateway by name, in the order of their names."""

    providers: Mapping[str, Found[LLMProvider]]
    problems: tuple[Problem, ...] = ()


def select(objects: Objects, gateway: Found[LLMGateway]) -> Selection:
    namespace = gateway.value.metadata.namespace
    known = {
        key.name: found for key, found in sorted(objects.providers.items()) if key.namespace == namespace
    }
    wanted = gateway.value.spec.providers
    if wanted is None:
        return Selection(known)
    named = wanted.refs or ()
    chosen = {ref.name for ref in named}
    providers = {
        name: found
        for name, found in known.items()
        if name in chosen or _matches(wanted.selector, found.value)
    }
    return Selection(providers, _unknown(named, objects, gateway, frozenset(known)))


def _unknown(
    refs: tuple[ProviderRef, ...], objects: Objects, gateway: Found[LLMGateway], known: frozenset[str]
) -> tuple[Problem, ...]:
    namespace = gateway.value.metadata.namespace
    return tuple(
        gateway.problem(
            ("spec", "providers", "refs", index, "name"),
            f"no LLMProvider {ref.name} in namespace {namespace}{did_you_mean(ref.name, known)}",
        )
        for index, ref in enumerate(refs)
        if ref.name not in known and not objects.is_unreadable("LLMProvider", Key(namespace, ref.name))
    )


def _matches(selector: Selector | None, provider: LLMProvider) -> bool:
    if selector is None:
        return False
    labels = provider.metadata.labels
    return all(labels.get(name) == value for name, value in selector.match_labels.items()) and all(
        _meets(labels, requirement) for requirement in selector.match_expressions
    )


def _meets(labels: Mapping[str, str], requirement: Requirement) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values  # also when the label is absent, as in Kubernetes
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
