"""The watches: kopf's engine, of which only `on.event` is used.

Anything else of kopf (create/update handlers, indices, timers, daemons) writes annotations or finalizers to the
objects, or waits for all kinds in ways that do not scale. kopf calls the handler once and drops what it raises, so the
handler only hands over.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import kopf

from llm_gateway_operator.api.common import GROUP
from llm_gateway_operator.kube.errors import WatchEnded
from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.kube.scope import Scope, field_selector, label_selector

Sink = Callable[[Kind, str | None, Json], None]
"""`sink(kind, event_type, obj)`. Event types: ADDED, MODIFIED, DELETED, and None for an object that a list held: at
the start, and whenever a watch could not go on where it was and kopf listed anew. After the latter, objects deleted
meanwhile are simply not mentioned: a sweep finds them. `obj` is whole, and the sink's to keep but not to change.

It runs in the event loop and must return at once. Events of one object come in order; those of two objects, also of
two that had the same name one after the other, in any order."""

log = logging.getLogger(__name__)


async def watch(scope: Scope, sink: Sink, stop: asyncio.Event) -> None:
    """Watches all kinds of `scope` until `stop` is set or the process gets SIGTERM or SIGINT; then returns.

    Speaks for the pod's service account, else for the file that KUBECONFIG names, else for ~/.kube/config. Network
    errors and 429 are retried without end, 5xx and 403 for about a minute. Raises WatchEnded when a kind can no more be
    watched (one of those lasts, another 4xx, an error inside a watch): the process must be started again, nothing less
    helps. When it ends by anything but `stop`, kopf kills the process 30 s later if it is still there.

    A kind that the server does not serve at the start is never watched, and only a log line of kopf's says so: sweep
    first, which fails for it. Start tasks that must outlive the watches before calling this: at its end kopf cancels
    those started after it.
    """
    _quiet()
    try:
        await kopf.operator(
            registry=registry(scope, sink),
            settings=settings(scope),
            standalone=True,
            clusterwide=not scope.namespaces,
            namespaces=scope.namespaces,
            stop_flag=stop,
        )
    except Exception as error:
        raise WatchEnded(f"{type(error).__name__}: {error}") from error


def registry(scope: Scope, sink: Sink) -> kopf.OperatorRegistry:
    """One handler for each kind, and the login that a registry of one's own lacks."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(_login)
    for kind in scope.kinds:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=str(kind))(
            _handler(kind, sink)
        )
    return handlers


def settings(scope: Scope) -> kopf.OperatorSettings:
    """Each value is here because its default was seen to lose events, to stall or to write."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # no list and watch of CRDs and namespaces: ours are installed before us
    chosen.peering.standalone = True
    chosen.posting.enabled = False  # kopf's Events are not aggregated
    chosen.process.ultimate_exiting_timeout = 30
    _set_watching(chosen, scope)
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.enforce_retry_after = True
    chosen.networking.trust_env = True  # as the Client does
    chosen.queueing.worker_limit = None  # a limit serves that many objects in 5 s, and no more
    chosen.queueing.idle_timeout = 1  # each object that changed holds two tasks for so long
    # Not used by on.event; so that a handler of another sort, added by mistake, would at least write our name.
    chosen.persistence.finalizer = f"{GROUP}/finalizer"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    return chosen


def _set_watching(chosen: kopf.OperatorSettings, scope: Scope) -> None:
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 5
    chosen.watching.inactivity_timeout = 70  # bookmarks come every 60 s
    chosen.watching.reconnect_backoff = 1
    chosen.watching.chunk_size = 500
    for kind in scope.kinds:
        # A tuple of three: the string "v1/secrets" is accepted as a key and matches nothing.
        key = (kind.group, kind.version, kind.plural)
        if labels := label_selector(kind):
            chosen.watching.label_selectors[key] = labels
        if fields := field_selector(kind):
            chosen.watching.field_selectors[key] = fields


def _handler(kind: Kind, sink: Sink) -> Callable[..., Any]:
    async def on_event(event: Any, **_: Any) -> None:
        # kopf would log the traceback with the values in it, and those may be a Secret's.
        try:
            sink(kind, event["type"], event["object"])
        except Exception as error:
            meta = event["object"].get("metadata", {})
            log.error(
                "an event of %s %s/%s was lost: %s",
                kind,
                meta.get("namespace"),
                meta.get("name"),
                type(error),
            )

    return on_event


def _login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """Reads the token file anew at each login, which kopf asks for after a 401."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


def _quiet() -> None:
    """kopf says "Handler ... succeeded" for each event."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
