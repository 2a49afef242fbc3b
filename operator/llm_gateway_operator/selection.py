"""Which providers a gateway serves: those of its namespace that its selector matches, and those it names.

A provider of another namespace never joins by label or by an equal name (api.md, rule 6): the gateway names it in
`refs[].from`, and the provider consents in `allowedGateways`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llm_gateway_config.problems import did_you_mean
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.gateway import LLMGateway, ProviderRef, ProviderSource
from llm_gateway_operator.api.provider import Consent, LLMProvider
from llm_gateway_operator.objects import Finding, Found, Key, Objects, Path


@dataclass(frozen=True, slots=True)
class Selection:
    """The providers of one gateway in the order of their names: the name that the gateway knows it by -> provider.

    `problems` are of references that select nothing.
    """

    providers: Mapping[str, Found[LLMProvider]]
    problems: tuple[Finding, ...] = ()


def select(objects: Objects, gateway: Found[LLMGateway]) -> Selection:
    known = {
        key.name: found
        for key, found in sorted(objects.providers.items())
        if key.namespace == gateway.key.namespace
    }
    wanted = gateway.value.spec.providers
    if wanted is None:
        return Selection(known)
    chosen = {ref.name for ref in wanted.refs or () if ref.source is None}
    providers = {
        name: found
        for name, found in known.items()
        if name in chosen or (wanted.selector and wanted.selector.matches(found.value.metadata.labels))
    }
    problems: list[Finding] = []
    for index, ref in enumerate(wanted.refs or ()):
        path: Path = ("spec", "providers", "refs", index)
        if ref.source is None:
            problems += _unknown(ref, objects, gateway, path, known)
            continue
        answer = _elsewhere(ref, ref.source, objects, gateway, path, providers)
        if isinstance(answer, Finding):
            problems.append(answer)
        elif answer is not None:
            providers[ref.name] = answer
    return Selection(dict(sorted(providers.items())), tuple(problems))


def _unknown(
    ref: ProviderRef, objects: Objects, gateway: Found[LLMGateway], path: Path, known: Mapping[str, object]
) -> Iterator[Finding]:
    key = Key(gateway.key.namespace, ref.name)
    if ref.name not in known and not objects.is_unreadable("LLMProvider", key):
        yield gateway.problem(
            (*path, "name"),
            f"no LLMProvider {ref.name} in namespace {key.namespace}{did_you_mean(ref.name, known)}",
            Reason.PROVIDER_NOT_FOUND,
        )


def _elsewhere(
    ref: ProviderRef,
    source: ProviderSource,
    objects: Objects,
    gateway: Found[LLMGateway],
    path: Path,
    taken: Mapping[str, object],
) -> Found[LLMProvider] | Finding | None:
    """The provider behind `from`; None for one whose own problem has been told."""
    key = Key(source.namespace, source.name)
    found = objects.providers.get(key)
    if ref.name in taken:
        said = f"{ref.name} is also an LLMProvider of namespace {gateway.key.namespace}: choose another name"
        return gateway.problem((*path, "name"), said)
    if found is None and objects.is_unreadable("LLMProvider", key):
        return None
    if found is None or not consents(found.value, gateway.key.namespace, objects):
        # One answer for both: who may not use a provider is not told whether there is one.
        return gateway.problem(
            (*path, "from"),
            f"LLMProvider {key} is not there, or its spec.allowedGateways does not allow gateways of namespace "
            f"{gateway.key.namespace}",
            Reason.REF_NOT_PERMITTED,
        )
    return found


def consents(provider: LLMProvider, namespace: str, objects: Objects) -> bool:
    """Whether a gateway of `namespace` may serve `provider`, and so be handed its credentials."""
    if namespace == provider.metadata.namespace:
        return True
    allowed = provider.spec.allowed_gateways.namespaces if provider.spec.allowed_gateways else None
    match allowed.source if allowed else Consent.SAME:
        case Consent.ALL:
            return True
        case Consent.SELECTOR:
            # A selector that is absent against the rule selects nothing.
            selector = allowed.selector if allowed else None
            return selector is not None and selector.matches(objects.labels_of_namespace(namespace))
        case Consent.SAME:
            return False
