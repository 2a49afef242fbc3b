"""What must fit together in a document: rules that need more than one field.

Rule: pure, and tolerant of everything that the models refuse: the checks look at the data as written, so that
a document with a wrong number and a wrong name hears of both at once. The tables at the end are the list of
rules.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_gateway_config.document import CONTRACT, KNOWN_REQUIREMENTS, ProviderType, Server
from llm_gateway_config.problems import Path, did_you_mean

Finding = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class View:
    """A document's plain data after substitution, and `show`: a value at a path as a message may show it."""

    data: Mapping[str, Any]
    show: Callable[[Path, object], str]

    def part(self, *path: str) -> Mapping[str, Any]:
        """The map at `path`, empty when there is none."""
        node: Any = self.data
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        return node if isinstance(node, dict) else {}

    def providers(self) -> Iterator[tuple[str, Mapping[str, Any], ProviderType]]:
        """Providers of a known type."""
        for name, provider in self.part("providers").items():
            kind = provider_type(provider)
            if kind is not None:
                yield name, provider, kind

    def targets(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        for name, routed in self.part("routing", "models").items():
            targets = routed.get("targets") if isinstance(routed, dict) else None
            for index, target in enumerate(targets if isinstance(targets, list) else ()):
                if isinstance(target, dict):
                    yield ("routing", "models", name, "targets", index), target

    def hint(self, path: Path, value: str, choices: Iterator[str]) -> str:
        # No hint for a value that is not shown: being near to something says what it is.
        return did_you_mean(value, choices) if self.show(path, value).startswith('"') else ""


def provider_type(provider: object) -> ProviderType | None:
    """The type of a provider as written, or None when it is absent or unknown."""
    written = provider.get("type") if isinstance(provider, dict) else None
    return ProviderType(written) if isinstance(written, str) and written in set(ProviderType) else None


def model_names(provider: Mapping[str, Any]) -> list[str | None]:
    """Names of the models of a provider as written, None for one that has none."""
    models = provider.get("models")
    names = (
        [model.get("name") if isinstance(model, dict) else model for model in models]
        if isinstance(models, list)
        else []
    )
    return [name if isinstance(name, str) else None for name in names]


def _fields_of_types(view: View) -> Iterator[Finding]:
    for name, provider, kind in view.providers():
        path: Path = ("providers", name)
        if kind is ProviderType.OPENAI_COMPATIBLE and provider.get("base_url") is None:
            yield (*path, "base_url"), "is required for type openai_compatible"
        for field, kinds in _ONLY_FOR.items():
            if provider.get(field) is not None and kind not in kinds:
                yield (
                    (*path, field),
                    f"is only for type {' or '.join(kinds)}, this provider is of type {kind}",
                )
        for index, model in enumerate(provider["models"] if isinstance(provider.get("models"), list) else ()):
            if kind is not ProviderType.MOCK and isinstance(model, dict) and model.get("mock") is not None:
                yield (
                    (*path, "models", index, "mock"),
                    f"is only for type mock, this provider is of type {kind}",
                )


_ONLY_FOR: Mapping[str, tuple[ProviderType, ...]] = {
    "base_url": (ProviderType.OPENAI, ProviderType.OPENAI_COMPATIBLE),
    "organization": (ProviderType.OPENAI,),
    "mock": (ProviderType.MOCK,),
}


def _unique_models(view: View) -> Iterator[Finding]:
    for name, provider, _ in view.providers():
        first: dict[str, int] = {}
        for index, model in enumerate(model_names(provider)):
            if model is not None and first.setdefault(model, index) != index:
                here: Path = ("providers", name, "models", index)
                message = f"has the name {view.show(here, model)}, which models[{first[model]}] has already"
                yield here, message


def _unique_headers(view: View) -> Iterator[Finding]:
    for name, provider, _ in view.providers():
        headers = provider.get("headers")
        first: dict[str, str] = {}
        for header in headers if isinstance(headers, dict) else ():
            if first.setdefault(header.lower(), header) != header:
                yield ("providers", name, "headers", header), f"is the same header as {first[header.lower()]}"


def _some_targets(view: View) -> Iterator[Finding]:
    for name, routed in view.part("routing", "models").items():
        if isinstance(routed, dict) and routed.get("targets") == []:
            yield ("routing", "models", name, "targets"), "must hold at least one target"


def _known_targets(view: View) -> Iterator[Finding]:
    providers = view.part("providers")
    for path, target in view.targets():
        name, model = target.get("provider"), target.get("model")
        if not isinstance(name, str):
            continue
        at: Path = (*path, "provider")
        if name not in providers:
            hint = view.hint(at, name, iter(providers))
            yield at, f"names no provider of this document, is {view.show(at, name)}{hint}"
        elif isinstance(model, str) and not _serves(providers[name], model):
            at = (*path, "model")
            known = (other for other in model_names(providers[name]) if other is not None)
            yield at, f"provider {name} lists no model {view.show(at, model)}{view.hint(at, model, known)}"


def _serves(provider: object, model: str) -> bool:
    # A provider of unknown type is left out; what it would serve is not ours to judge.
    if not isinstance(provider, dict) or provider_type(provider) is None:
        return True
    return provider.get("open_models") is not None or model in model_names(provider)


def _unique_targets(view: View) -> Iterator[Finding]:
    first: dict[tuple[Any, ...], int] = {}
    for path, target in view.targets():
        pair = (target.get("provider"), target.get("model"))
        if not all(isinstance(name, str) for name in pair):
            continue
        index = int(path[-1])
        earlier = first.setdefault((path[:-1], *pair), index)
        if earlier != index:
            yield path, f"names the same provider and model as targets[{earlier}]"


def _two_ports(view: View) -> Iterator[Finding]:
    server, fields = view.part("server"), Server.model_fields
    written = {
        name: fields[name].default if server.get(name) is None else server[name]
        for name in ("metrics_port", "port")
    }
    ports = {str(port) for port in written.values()}
    if len(ports) == 1 and ports != {"0"}:
        # The complaint goes to a port that was written; the other may be a default.
        name, other = sorted(written, key=lambda name: server.get(name) is None)
        path: Path = ("server", name)
        yield path, f"must differ from server.{other}, both are {view.show(path, written[name])}"


def _requirements(view: View) -> Iterator[Finding]:
    requires = view.data.get("requires")
    for index, name in enumerate(requires if isinstance(requires, list) else ()):
        if isinstance(name, str) and name not in KNOWN_REQUIREMENTS:
            path: Path = ("requires", index)
            yield (
                path,
                f"this gateway does not know {view.show(path, name)}, so it must not serve this document",
            )


def contract_finding(data: Mapping[str, Any]) -> Finding | None:
    """A document for a later contract; nothing else in it can be judged then."""
    contract = str(data.get("contract"))
    if contract.isdecimal() and int(contract[:20]) > CONTRACT:
        return (
            "contract",
        ), f"this gateway reads contract {CONTRACT}, the document is written for a later one"
    return None


def _no_models(view: View) -> Iterator[Finding]:
    for name, provider, _ in view.providers():
        if not provider.get("models") and provider.get("open_models") is None:
            yield ("providers", name), "lists no models, so no request reaches it"


def _no_key(view: View) -> Iterator[Finding]:
    for name, provider, kind in view.providers():
        has_key = provider.get("api_key") is not None or provider.get("headers")
        if kind is ProviderType.OPENAI and not has_key and provider.get("base_url") is None:
            yield ("providers", name), "has no api_key, without which OpenAI refuses every request"


ERRORS: tuple[Callable[[View], Iterator[Finding]], ...] = (
    _requirements,  # a policy that is not understood must not be served without
    _two_ports,
    _fields_of_types,
    _unique_models,
    _unique_headers,
    _some_targets,
    _known_targets,
    _unique_targets,
)

WARNINGS: tuple[Callable[[View], Iterator[Finding]], ...] = (
    _no_models,
    _no_key,
)
