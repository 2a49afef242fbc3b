"""One custom resource as an API server has it, as a model: or why it cannot be served.

The API server has checked it by the CRD that it has. What is found wrong here all the same comes of a CRD that is
older or newer than this program: a value that this one does not know is said to be unsupported, never a crash.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from llm_gateway_config.problems import describe, path_text
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.later import NOT_SUPPORTED, unsupported
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.objects import Finding, Found, Key, Source
from llm_gateway_operator.rules import gateway_problems, provider_problems

T = TypeVar("T", LLMProvider, LLMGateway)

# Of a list that grew, or of a field that came: known to who wrote the object, not to this program.
_NEWER = frozenset({"enum", "extra_forbidden", "literal_error"})


@dataclass(frozen=True, slots=True)
class Admitted(Generic[T]):
    """`found` None: not served, and `findings` say why."""

    found: Found[T] | None
    findings: tuple[Finding, ...] = ()


def admit_provider(obj: Mapping[str, Any]) -> Admitted[LLMProvider]:
    """`obj`: the whole object as plain data; its status is not looked at."""
    admitted = _admit(LLMProvider, obj)
    return _by_rules(admitted, provider_problems(admitted.found)) if admitted.found else admitted


def admit_gateway(obj: Mapping[str, Any]) -> Admitted[LLMGateway]:
    """As `admit_provider`."""
    admitted = _admit(LLMGateway, obj)
    return _by_rules(admitted, gateway_problems(admitted.found)) if admitted.found else admitted


def _by_rules(admitted: Admitted[T], findings: Iterable[Finding]) -> Admitted[T]:
    said = tuple(findings)
    return Admitted(None, said) if said else admitted


def _admit(model: type[T], obj: Mapping[str, Any]) -> Admitted[T]:
    kind = model.__name__
    key = Key(obj["metadata"].get("namespace") or "default", obj["metadata"]["name"])
    source = Source(f"{kind} {key}", None, {})
    data = {name: value for name, value in obj.items() if name != "status"}
    try:
        return Admitted(Found(model.model_validate(data), source))
    except ValidationError as error:
        later = {path_text(path) for path in unsupported(kind, data)}
        details = error.errors(include_url=False)
        return Admitted(None, tuple(_finding(each, model, kind, key, source, later) for each in details))


def _finding(
    detail: ErrorDetails, model: type[T], kind: str, key: Key, source: Source, later: set[str]
) -> Finding:
    [said] = describe([detail], {}, source.file, model=model)
    newer = said.path in later or detail["type"] in _NEWER
    message = NOT_SUPPORTED if said.path in later else said.message
    reason = Reason.UNSUPPORTED_VALUE if newer else Reason.INVALID
    return Finding(said.file, None, said.path, message, kind, key, reason)
