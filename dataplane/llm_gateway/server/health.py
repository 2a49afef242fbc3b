"""What probes and people ask: alive, started, ready, healthy. The same answers on both ports."""

import time

from llm_gateway.runtime import Gateway
from llm_gateway.server.door import Door
from llm_gateway.version import VERSION

STARTED = time.time()

Page = tuple[int, object]  # status and JSON content


def live() -> Page:
    """The event loop runs, or this would not be answered. Nothing else may end a pod."""
    return 200, {"status": "ok"}


def startup(gateway: Gateway) -> Page:
    return 200, {"status": "ok", "revision": gateway.runtime.revision}


def ready(door: Door) -> Page:
    """503 only while the process ends. No model to serve is ready all the same, or a rollout could never finish."""
    runtime = door.gateway.runtime
    content = {
        "status": "ready" if door.ready else "shutting_down",
        "revision": runtime.revision,
        "providers": _providers(door),
    }
    if not runtime.models and not runtime.open_providers:
        content["reason"] = "no model is configured"
    return (200 if door.ready else 503), content


def health(door: Door, *, detailed: bool) -> Page:
    content: dict[str, object] = {"status": "ok" if door.ready else "shutting_down", "version": VERSION}
    if detailed:
        runtime, instruments = door.gateway.runtime, door.gateway.instruments
        content |= {
            "revision": runtime.revision,
            "uptime_seconds": round(time.time() - STARTED),
            "models": len(runtime.models),
            "providers": _providers(door),
            "open_connections": int(instruments.open_connections.value),
            "open_streams": int(instruments.open_streams.value),
        }
    return 200, content


def _providers(door: Door) -> dict[str, object]:
    runtime = door.gateway.runtime
    served: dict[str, object] = {id_: {"status": "configured"} for id_ in runtime.config.providers}
    left_out = {id_: {"status": "left_out", "reason": reason} for id_, reason in runtime.left_out.items()}
    return dict(sorted((served | left_out).items()))
