"""A gateway before one scripted upstream: what most tests of the request path start with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_gateway_testing.client import Answer
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running
from llm_gateway_testing.upstream import Upstream


@dataclass(frozen=True)
class Relay:
    gateway: RunningGateway
    upstream: Upstream

    @property
    def port(self) -> int:
        return self.gateway.port

    def line(self, answer: Answer) -> dict[str, Any]:
        """The log line about an answer."""
        return self.gateway.request(answer.request_id)

    def requests(self, **labels: str) -> float:
        return self.gateway.metric("llm_gateway_requests_total", **labels)


def document(upstream: Upstream, routes: Mapping[str, Sequence[str]] | None = None, server: str = "") -> str:
    """Provider `raw` serves every behaviour of the upstream; `routes` lead to several of them, in order."""

    def target(name: str, priority: int) -> str:
        return f"{{provider: raw, model: {json.dumps(name)}, priority: {priority}}}"

    routed = "".join(
        f"    {json.dumps(name)}: {{targets: [{', '.join(map(target, names, range(len(names))))}]}}\n"
        for name, names in (routes or {}).items()
    )
    models = json.dumps(list(upstream.behaviours))
    return (
        ANY_PORT.replace("}", f"{server}}}")
        + f"providers:\n  raw: {{type: openai_compatible, base_url: {upstream.base_url!r}, models: {models}}}\n"
        + (f"routing:\n  models:\n{routed}" if routed else "")
    )


@contextmanager
def relaying(folder: Path, upstream: Upstream, text: str) -> Iterator[Relay]:
    """The gateway on a document; at the end it must stop well, with no stream open and nothing unexpected logged."""
    with running(folder, text) as gateway:
        yield Relay(gateway, upstream)
        assert gateway.metric("llm_gateway_open_streams") == 0
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.errors()
        errors = [line for line in gateway.lines() if line["level"] == "ERROR"]
        assert [line for line in errors if line["message"] != "request"] == []
