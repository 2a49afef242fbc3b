"""What `local` tells a person once the gateway is up. Pure: a plan and ports in, lines out."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from llm_gateway_operator.plan import Plan
from llm_gateway_operator.translate import Translated

_MOST_MODELS = 20


def announcement(plan: Plan, port: int, metrics_port: int) -> Iterator[str]:
    """Where everything is, what is served, what is not and why, and a command to try it."""
    translated = plan.translated
    if translated is None:
        return
    yield f"LLMGateway {plan.gateway} is up, revision {translated.document['revision']}"
    yield ""
    yield f"  API       http://127.0.0.1:{port}/v1"
    yield f"  metrics   http://127.0.0.1:{metrics_port}/metrics"
    yield f"  config    http://127.0.0.1:{metrics_port}/config"
    yield from served(translated)
    model = model_to_try(translated.document)
    if model is not None:
        yield ""
        yield "Try it:"
        yield ""
        yield f"  {curl(model, port)}"


def served(translated: Translated) -> Iterator[str]:
    """The models, where keys come from, and the providers that were left out."""
    names = model_names(translated.document)
    more = f" and {len(names) - _MOST_MODELS} more" if len(names) > _MOST_MODELS else ""
    yield f"  models    {', '.join(names[:_MOST_MODELS]) or 'none'}{more}"
    for provider, origin in sorted(translated.origins.items()):
        yield f"  key       {provider}: from {origin}"
    for provider, problem in sorted(translated.left_out.items()):
        yield f"  left out  {provider}: {problem.message}"


def model_names(document: Mapping[str, Any]) -> list[str]:
    """Every name that needs no provider in front: the gateway's own first, then the providers'."""
    own = list(document.get("routing", {}).get("models", {}))
    providers = document.get("providers", {})
    listed = [_name(model) for provider in providers.values() for model in provider["models"]]
    return list(dict.fromkeys([*own, *listed]))


def model_to_try(document: Mapping[str, Any]) -> str | None:
    """A model that answers: a mock's before others, `echo` before other names, always that provider's own."""
    candidates = [
        (provider["type"] != "mock", name != "echo", id_, name)
        for id_, provider in document.get("providers", {}).items()
        for name in map(_name, provider["models"])
    ]
    if not candidates:
        return None
    _, _, provider, name = min(candidates)
    # `provider/model` where the bare name could be answered by somebody else.
    return name if _is_unique(document, name) else f"{provider}/{name}"


def curl(model: str, port: int) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello!"}]}
    return (
        f"curl -s http://127.0.0.1:{port}/v1/chat/completions -H 'Content-Type: application/json'"
        f" -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )


def _is_unique(document: Mapping[str, Any], name: str) -> bool:
    listed = [_name(model) for provider in document["providers"].values() for model in provider["models"]]
    return listed.count(name) == 1 and name not in document.get("routing", {}).get("models", {})


def _name(model: Any) -> str:
    # Names in the document are escaped against substitution.
    return str(model if isinstance(model, str) else model["name"]).replace("$${", "${")
