"""The operator as `llm-gateway-operator run` has it, in a thread of the test's own process, on a real API server.

Nothing runs pods there, so nobody can be asked what they run: `ready_pods` stands in for that.
"""

import asyncio
import os
import re
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.status import Truth
from llm_gateway_operator.confirm import Confirmation, is_ready
from llm_gateway_operator.known import Known
from llm_gateway_operator.render.intent import Installation
from llm_gateway_operator.run import Settings, run
from llm_gateway_testing.background import Background
from llm_gateway_testing.cluster.ports import free_ports

IMAGE = "registry.example.com/llm-gateway:1.2.3"
NAMESPACE = "llm-gateway-system"

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_REQUESTS = "llm_gateway_operator_api_request_seconds_count"


async def ready_pods(revision: str, pods: Sequence[Known]) -> Confirmation:
    """Takes it that a pod that is ready runs the newest revision."""
    ready = sum(is_ready(pod) for pod in pods)
    if pods and ready == len(pods):
        return Confirmation(Truth.TRUE, Reason.PROGRAMMED, f"all pods run {revision}", ready)
    return Confirmation(Truth.FALSE, Reason.PENDING, f"{ready} of {len(pods)} pods run {revision}", ready)


class RunningOperator:
    """`with RunningOperator(kubeconfig) as operator:`; its Lease lies in a namespace that must be there."""

    def __init__(self, kubeconfig: Path, namespaces: tuple[str, ...] = ()) -> None:
        self._kubeconfig = kubeconfig
        self._namespaces = namespaces

    def __enter__(self) -> "RunningOperator":
        os.environ["KUBECONFIG"] = str(self._kubeconfig)
        self._background = Background()
        self._background.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._background.__exit__()
            del os.environ["KUBECONFIG"]

    def start(self) -> None:
        [self.port] = free_ports(1)
        settings = Settings(
            installation=Installation(IMAGE, NAMESPACE),
            namespaces=self._namespaces,
            host="127.0.0.1",
            port=self.port,
            lost=_lost,
            confirm=ready_pods,
        )
        self._stop = asyncio.Event()
        self._ended: Future[None] = asyncio.run_coroutine_threadsafe(
            run(settings, self._stop), self._background.loop
        )

    def stop(self) -> None:
        """Returns when it has ended. Raises what it ended by."""
        self._background.loop.call_soon_threadsafe(self._stop.set)
        self._ended.result(60)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def writes(self) -> int:
        """Requests that may have changed something, but for those about the Lease."""
        return sum(
            int(float(value))
            for name, labels, value in _SAMPLE.findall(self.get("/metrics"))
            if name == _REQUESTS and "leases." not in labels and not re.search('verb="(get|list)"', labels)
        )


def _lost(reason: str) -> None:
    raise RuntimeError(reason)
