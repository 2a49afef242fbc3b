"""What an LLMGateway or LLMProvider names, read from the raw object.

It decides whom a change may concern, so it takes in too much rather than too little, and reads objects that the models
refuse: of these it must be known when they could be mended. What is really served is decided by translate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from llm_gateway_operator.api.selector import Selector
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.kinds import GATEWAY
from llm_gateway_operator.objects import Key

_EVERYTHING = Selector()

# Pods' own references to Secrets are the kubelet's business.
_NOT_OURS = frozenset({"podTemplate"})


@dataclass(frozen=True, slots=True)
class Mentions:
    """Of a provider only `secrets` is filled.

    `selector`: None selects nothing. `refs`: providers of its own namespace, by name, in `providers.refs`. `targets`:
    names in the targets of its models. `remote`: providers of other namespaces, by `from`.
    """

    secrets: frozenset[Key]
    selector: Selector | None = None
    refs: frozenset[Key] = frozenset()
    targets: frozenset[Key] = frozenset()
    remote: frozenset[Key] = frozenset()

    def selects(self, provider: Known) -> bool:
        """Whether a gateway with these mentions may serve `provider`, consent aside. The namespace of a provider that
        is selected by label is the caller's to check."""
        if provider.key in self.refs or provider.key in self.remote:
            return True
        return self.selector is not None and self.selector.matches(provider.labels)


def mentions(known: Known) -> Mentions:
    namespace, spec = known.key.namespace, known.spec
    secrets = frozenset(Key(namespace, name) for name in _secret_names(spec))
    if known.kind != GATEWAY:
        return Mentions(secrets)
    routing = _dict(spec.get("routing"))
    targets = (target for model in _dicts(routing.get("models")) for target in _dicts(model.get("targets")))
    named = frozenset(Key(namespace, name) for target in targets if (name := _text(target.get("provider"))))
    providers = spec.get("providers")
    if providers is None:
        return Mentions(secrets, _EVERYTHING, targets=named)
    refs = _dicts(_dict(providers).get("refs"))
    return Mentions(
        secrets,
        _selector(_dict(providers).get("selector")),
        frozenset(
            Key(namespace, name) for ref in refs if "from" not in ref and (name := _text(ref.get("name")))
        ),
        named,
        frozenset(key for ref in refs if "from" in ref for key in _remote(_dict(ref["from"]))),
    )


def _selector(raw: Any) -> Selector | None:
    if raw is None:
        return None
    try:
        return Selector.model_validate(raw)
    except ValidationError:  # from a newer version: it may select anything
        return _EVERYTHING


def _remote(source: dict[str, Any]) -> Iterator[Key]:
    namespace, name = _text(source.get("namespace")), _text(source.get("name"))
    if namespace and name:
        yield Key(namespace, name)


def _secret_names(value: Any) -> Iterator[str]:
    """A SecretRef has one form everywhere (api.md, rule 1): `secretRef: {name}` or `secretRefs: [{name}]`."""
    if isinstance(value, list):
        for entry in value:
            yield from _secret_names(entry)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in ("secretRef", "secretRefs"):
                refs = inner if isinstance(inner, list) else [inner]
                yield from (found for ref in _dicts(refs) if (found := _text(ref.get("name"))))
            elif name not in _NOT_OURS:
                yield from _secret_names(inner)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
