"""Rules inside one object that its shape cannot say: what excludes what, and names that stand twice.

`api/cel.py` has them for the API server; a test holds the two together.

The tables are the specification. A rule yields its problems; all rules are asked, so that all is told at
once.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import Consent, FaultKind, LLMProvider, ProviderType
from llm_gateway_operator.api.selector import Operator, Selector
from llm_gateway_operator.objects import Finding, Found, Path

_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Violation:
    """What breaks a rule, and where in the object."""

    path: Path
    message: str


def provider_problems(found: Found[LLMProvider]) -> Iterator[Finding]:
    for check in PROVIDER_RULES:
        for violation in check(found.value):
            yield found.problem(violation.path, violation.message)


def gateway_problems(found: Found[LLMGateway]) -> Iterator[Finding]:
    for check in GATEWAY_RULES:
        for violation in check(found.value):
            yield found.problem(violation.path, violation.message)


def _mock_has_no_upstream(provider: LLMProvider) -> Iterator[Violation]:
    spec = provider.spec
    if spec.type is not ProviderType.MOCK:
        return
    if spec.base_url is not None:
        yield Violation(("spec", "baseURL"), "must be absent with type Mock, which calls nobody")
    if spec.auth is not None and spec.auth.wants_secret:
        yield Violation(("spec", "auth"), "must be absent with type Mock, which needs no credential")


def _only_mock_has_mock_options(provider: LLMProvider) -> Iterator[Violation]:
    if provider.spec.mock is not None and provider.spec.type is not ProviderType.MOCK:
        yield Violation(
            ("spec", "mock"), f"must be absent with type {provider.spec.type.value}: it is for type Mock"
        )


def _status_belongs_to_its_fault(provider: LLMProvider) -> Iterator[Violation]:
    fault = provider.spec.mock.fault if provider.spec.mock else None
    if fault is None or fault.kind is FaultKind.STATUS:
        return
    for name, value in (("status", fault.status), ("retryAfter", fault.retry_after)):
        if value is not None:
            yield Violation(("spec", "mock", "fault", name), "must be absent unless kind is Status")


def _compatible_needs_base_url(provider: LLMProvider) -> Iterator[Violation]:
    if provider.spec.type is ProviderType.OPENAI_COMPATIBLE and provider.spec.base_url is None:
        yield Violation(
            ("spec", "baseURL"), "is required with type OpenAICompatible, like http://127.0.0.1:8000/v1"
        )


def _auth_is_one_thing(provider: LLMProvider) -> Iterator[Violation]:
    auth = provider.spec.auth
    if auth is None:
        return
    if auth.wants_secret and auth.secret_ref is None:
        yield Violation(("spec", "auth", "secretRef"), "is required (or auth.type: None, for no credential)")
    if not auth.wants_secret and auth.secret_ref is not None:
        yield Violation(("spec", "auth", "secretRef"), "must be absent with auth.type None")


def _header_has_one_value(provider: LLMProvider) -> Iterator[Violation]:
    for index, header in enumerate(provider.spec.headers):
        if (header.value is None) == (header.secret_ref is None):
            yield Violation(("spec", "headers", index), "must have either value or secretRef")


def _provider_names_stand_once(provider: LLMProvider) -> Iterator[Violation]:
    spec = provider.spec
    yield from _once(("spec", "models"), ("name",), (model.name for model in spec.models))
    # Names of headers have no case.
    yield from _once(("spec", "headers"), ("name",), (header.name.lower() for header in spec.headers))


def _providers_says_something(gateway: LLMGateway) -> Iterator[Violation]:
    wanted = gateway.spec.providers
    if wanted is not None and wanted.selector is None and wanted.refs is None:
        yield Violation(
            ("spec", "providers"),
            "must have selector or refs; leave it out for every provider of the namespace",
        )


def _requirement_has_its_values(gateway: LLMGateway) -> Iterator[Violation]:
    wanted = gateway.spec.providers
    yield from _values(("spec", "providers", "selector"), wanted.selector if wanted else None)


def _consent_has_its_values(provider: LLMProvider) -> Iterator[Violation]:
    allowed = provider.spec.allowed_gateways
    namespaces = allowed.namespaces if allowed else None
    path = ("spec", "allowedGateways", "namespaces", "selector")
    if namespaces is None:
        return
    if namespaces.source is Consent.SELECTOR and namespaces.selector is None:
        yield Violation(path, "is required with from Selector")
    if namespaces.source is not Consent.SELECTOR and namespaces.selector is not None:
        yield Violation(path, f"must be absent with from {namespaces.source.value}")
    yield from _values(path, namespaces.selector)


def _values(of: Path, selector: Selector | None) -> Iterator[Violation]:
    for index, requirement in enumerate(selector.match_expressions if selector else ()):
        path = (*of, "matchExpressions", index, "values")
        takes_values = requirement.operator in (Operator.IN, Operator.NOT_IN)
        if takes_values and not requirement.values:
            yield Violation(path, f"is required with operator {requirement.operator.value}")
        if not takes_values and requirement.values:
            yield Violation(path, f"must be absent with operator {requirement.operator.value}")


def _name_is_a_services(gateway: LLMGateway) -> Iterator[Violation]:
    if not _SERVICE_NAME.fullmatch(gateway.metadata.name):
        yield Violation(
            ("metadata", "name"),
            "must hold lower-case letters, digits and - only, beginning with a letter: it names a Service",
        )


def _some_target_has_weight(gateway: LLMGateway) -> Iterator[Violation]:
    for index, model in enumerate(gateway.spec.routing.models if gateway.spec.routing else ()):
        if all(target.weight == 0 for target in model.targets):
            yield Violation(
                ("spec", "routing", "models", index, "targets"),
                "must not all have weight 0: leave the weights out, or give one target more",
            )


def _one_sets_the_number_of_pods(gateway: LLMGateway) -> Iterator[Violation]:
    if gateway.spec.replicas is not None and gateway.spec.autoscaling is not None:
        yield Violation(
            ("spec", "replicas"), "must be absent with autoscaling, which sets the number of pods"
        )


def _autoscaling_is_consistent(gateway: LLMGateway) -> Iterator[Violation]:
    wanted = gateway.spec.autoscaling
    if wanted is None:
        return
    if wanted.min_replicas is not None and wanted.min_replicas > wanted.max_replicas:
        yield Violation(("spec", "autoscaling", "minReplicas"), "must not be more than maxReplicas")
    if wanted.metrics is not None and wanted.target_cpu_utilization_percentage is not None:
        yield Violation(
            ("spec", "autoscaling", "targetCPUUtilizationPercentage"),
            "must be absent with metrics: write it as one of them",
        )


def _containers_have_names(gateway: LLMGateway) -> Iterator[Violation]:
    template = gateway.spec.pod_template
    spec: Mapping[str, Any] = (template.spec if template else None) or {}
    for kind in ("containers", "initContainers"):
        path: Path = ("spec", "podTemplate", "spec", kind)
        entries = spec.get(kind, ())
        names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in entries or ()]
        for index, name in enumerate(names):
            if not isinstance(name, str):
                yield Violation((*path, index, "name"), "is required: containers are merged by their names")
        yield from _once(path, ("name",), (str(name) for name in names if name is not None))


def _gateway_names_stand_once(gateway: LLMGateway) -> Iterator[Violation]:
    spec = gateway.spec
    refs = spec.providers.refs if spec.providers else None
    yield from _once(("spec", "providers", "refs"), ("name",), (ref.name for ref in refs or ()))
    models = spec.routing.models if spec.routing else ()
    yield from _once(("spec", "routing", "models"), ("name",), (model.name for model in models))
    for index, model in enumerate(models):
        names = (f"{target.provider}/{target.model}" for target in model.targets)
        yield from _once(("spec", "routing", "models", index, "targets"), (), names)


def _once(path: Path, within: Path, names: Iterable[str]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            yield Violation(
                (*path, index, *within), f"{name} stands here twice, first as entry {first[name]}"
            )


PROVIDER_RULES: tuple[Callable[[LLMProvider], Iterator[Violation]], ...] = (
    _mock_has_no_upstream,
    _only_mock_has_mock_options,
    _status_belongs_to_its_fault,
    _compatible_needs_base_url,
    _auth_is_one_thing,
    _header_has_one_value,
    _provider_names_stand_once,
    _consent_has_its_values,
)

GATEWAY_RULES: tuple[Callable[[LLMGateway], Iterator[Violation]], ...] = (
    _providers_says_something,
    _requirement_has_its_values,
    _name_is_a_services,
    _some_target_has_weight,
    _one_sets_the_number_of_pods,
    _autoscaling_is_consistent,
    _containers_have_names,
    _gateway_names_stand_once,
)
