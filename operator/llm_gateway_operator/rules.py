"""Rules inside one object that its shape cannot say: what excludes what, and names that stand twice.

The tables are the specification. A rule yields its problems; all rules are asked, so that all is told at
once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from llm_gateway_config.problems import Problem
from llm_gateway_operator.api.gateway import LLMGateway, Operator
from llm_gateway_operator.api.provider import FaultKind, LLMProvider, ProviderType
from llm_gateway_operator.objects import Found, Path


@dataclass(frozen=True, slots=True)
class Violation:
    """What breaks a rule, and where in the object."""

    path: Path
    message: str


def provider_problems(found: Found[LLMProvider]) -> Iterator[Problem]:
    for check in PROVIDER_RULES:
        for violation in check(found.value):
            yield found.problem(violation.path, violation.message)


def gateway_problems(found: Found[LLMGateway]) -> Iterator[Problem]:
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
    selector = wanted.selector if wanted else None
    for index, requirement in enumerate(selector.match_expressions if selector else ()):
        path = ("spec", "providers", "selector", "matchExpressions", index, "values")
        takes_values = requirement.operator in (Operator.IN, Operator.NOT_IN)
        if takes_values and not requirement.values:
            yield Violation(path, f"is required with operator {requirement.operator.value}")
        if not takes_values and requirement.values:
            yield Violation(path, f"must be absent with operator {requirement.operator.value}")


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
)

GATEWAY_RULES: tuple[Callable[[LLMGateway], Iterator[Violation]], ...] = (
    _providers_says_something,
    _requirement_has_its_values,
    _gateway_names_stand_once,
)
