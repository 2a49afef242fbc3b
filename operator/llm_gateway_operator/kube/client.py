"""Requests to the API server: dicts in, dicts out; deadline, retry, fencing and measuring in this one place.

Facts about `kubernetes.aio` that shape it: typed models drop fields they do not know, so only its raw calls are used;
those do not raise for a status of 400 and above; their timeout is 300 s unless one is given; PATCH is never retried.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.exceptions import OpenApiException
from kubernetes.aio.config import ConfigException

from llm_gateway_operator.kube.connection import connection
from llm_gateway_operator.kube.errors import ApiError, KubeError, NotLeading, Unreachable
from llm_gateway_operator.kube.kinds import Json, Kind, kind_of
from llm_gateway_operator.kube.retry import Pauses, worth_another

ATTEMPT_LIMIT = 10.0  # seconds for one request and its answer
CALL_LIMIT = 30.0  # seconds for one call with all its attempts
PAGE = 500  # objects

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, for metrics. `outcome`: the HTTP status, or 0 where no answer came."""

    verb: str
    kind: str
    outcome: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `resource_version`: the moment at which the list is true, equal for all its pages."""

    items: tuple[Json, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class _Call:
    verb: str  # of RBAC: get, list, create, update, patch, delete
    method: str
    path: str
    kind: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    content_type: str = _JSON
    repeatable: bool = True

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@asynccontextmanager
async def connected(
    kubeconfig: Path | None = None, observe: Callable[[Attempt], None] = lambda attempt: None
) -> AsyncIterator["Client"]:
    """A Client for the length of a `with`; see `connection` for whom it speaks. Raises NoCredentials.

    `observe` is called after each request, also after those that are retried.
    """
    async with connection(kubeconfig) as api:
        yield Client(api, observe)


class Client:
    """All calls may be made at once from many tasks. All but where said otherwise

    - raise ApiError when the server refuses, Unreachable when no answer came in time, NotLeading (writes only) when
      `may_write` says no;
    - retry 429, 500, 502, 503, 504 and network errors, each attempt within 10 s, with growing pauses or the
      server's Retry-After, all within `limit` seconds (30), then raise the last error;
    - return the object as it is on the server afterwards. Do not compare it with what was sent: the server writes
      quantities its own way and fills in defaults.
    """

    def __init__(
        self,
        api: ApiClient,
        observe: Callable[[Attempt], None] = lambda attempt: None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api = api
        self._observe = observe
        self._may_write = may_write
        self._pauses = Pauses(random.random)

    def fenced(self, may_write: Callable[[], bool]) -> "Client":
        """The same connections; each attempt to write asks `may_write` first, like `Elector.leading`."""
        return Client(self._api, self._observe, may_write)

    async def get(
        self, kind: Kind, namespace: str | None, name: str, limit: float = CALL_LIMIT
    ) -> Json | None:
        """The newest state of an object, not a cached one. None: the server confirms that this object does not exist.

        A 404 about anything else (the kind is not served) is an ApiError, so that nothing is taken for deleted
        because a CRD is away.
        """
        try:
            return await self._send(_Call("get", "GET", kind.path(namespace, name), str(kind)), limit)
        except ApiError as error:
            if error.says_absent(name):
                return None
            raise

    async def list_pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        page: int = PAGE,
    ) -> AsyncIterator[Page]:
        """All objects of a kind, in `namespace` or (None) everywhere. `labels`, `fields`: selectors of the API.

        The first page is asked for at resourceVersion 0, from the server's cache: cheap, possibly some moments old,
        and some servers then send everything in it. Who concludes from an absence asks `get` first. Each item has
        `apiVersion` and `kind` filled in. A list whose continuation expired (410) raises ApiError: begin again.
        """
        query = [("limit", str(page)), *_present(labelSelector=labels, fieldSelector=fields)]
        more = [("resourceVersion", "0")]
        while more:
            call = _Call("list", "GET", kind.path(namespace), str(kind), (*query, *more))
            answer = await self._send(call, CALL_LIMIT)
            meta = answer.get("metadata", {})
            more = _present(**{"continue": meta.get("continue")})
            items = tuple(
                item | {"apiVersion": kind.api_version, "kind": kind.kind}
                for item in answer.get("items") or ()
            )
            yield Page(items, meta.get("resourceVersion", ""))

    async def apply(
        self, obj: Json, manager: str, force: bool = True, dry_run: bool = False, limit: float = CALL_LIMIT
    ) -> Json:
        """Server-side apply of exactly the fields in `obj`, as field manager `manager`; creates it when absent.

        Fields of an earlier apply by the same manager that are missing now are removed, or go back to their default.
        `force`: takes fields over from other managers; without it that is an ApiError with `conflict`. `dry_run`:
        everything is checked and answered as if done, and nothing is stored. An apply that changes nothing keeps the
        resourceVersion and makes no watch event. `obj` with a `metadata.resourceVersion` is applied to that state
        alone, else ApiError with `conflict`; with a `metadata.uid` to that very object alone: another one of the name
        is a 422, none of the name a `conflict`. A field that the schema does not know is refused.
        """
        query = [("fieldManager", manager), ("force", "true" if force else "false")]
        call = _Call("patch", "PATCH", _path(obj), str(kind_of(obj)), (*query, *_dry(dry_run)), obj, _APPLY)
        return await self._send(call, limit)

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, status: Json, resource_version: str | None, manager: str
    ) -> Json:
        """Merge patch of the status subresource: what `status` leaves out stays, None removes, a list is replaced.

        `resource_version`: the state that `status` was made for; another one on the server is an ApiError with
        `conflict` and nothing is written. None: whatever is there. A patch that changes nothing makes no event.
        """
        body: Json = {"status": status}
        if resource_version is not None:
            body["metadata"] = {"resourceVersion": resource_version}
        path = kind.path(namespace, name, "status")
        return await self._send(
            _Call("patch", "PATCH", path, str(kind), (("fieldManager", manager),), body, _MERGE), CALL_LIMIT
        )

    async def create(self, obj: Json, manager: str, limit: float = CALL_LIMIT) -> Json:
        """Creates an object; ApiError with `conflict` when the name is taken. Only a 429 is retried: after another
        failure it may exist, and a second try could not tell ours from another's."""
        kind = kind_of(obj)
        path = kind.path(obj["metadata"].get("namespace"))
        call = _Call("create", "POST", path, str(kind), (("fieldManager", manager),), obj, repeatable=False)
        return await self._send(call, limit)

    async def replace(self, obj: Json, manager: str, limit: float = CALL_LIMIT) -> Json:
        """Puts `obj` in the place of what is there. With a `metadata.resourceVersion` in it, another state on the
        server is an ApiError with `conflict`; that is also what a retry gets when the first attempt had worked."""
        query = (("fieldManager", manager),)
        return await self._send(_Call("update", "PUT", _path(obj), str(kind_of(obj)), query, obj), limit)

    async def delete(self, kind: Kind, namespace: str | None, name: str, uid: str) -> bool:
        """Deletes the very object that has this `uid`, and in the background what it owns.

        True: the server took it (with finalizers it stays for a while). False: it was gone already. Another object
        of that name is an ApiError with `conflict`, and stays.
        """
        body: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        call = _Call("delete", "DELETE", kind.path(namespace, name), str(kind), body=body)
        try:
            await self._send(call, CALL_LIMIT)
        except ApiError as error:
            if error.says_absent(name):
                return False
            raise
        return True

    async def server_version(self) -> tuple[int, int]:
        """Major and minor, like (1, 34). What clouds append to the minor ("34+") is dropped."""
        answer = await self._send(_Call("get", "GET", "/version", "version"), CALL_LIMIT)
        return int(answer["major"]), int(answer["minor"].rstrip("+"))

    async def _send(self, call: _Call, limit: float) -> Json:
        """All attempts of one call. The pause before a further one must leave it a chance within `limit`."""
        end = _now() + limit
        attempt = 1
        while True:
            try:
                return await self._attempt(call, min(ATTEMPT_LIMIT, end - _now()))
            except KubeError as error:
                attempt += 1
                pause = self._pauses.before(attempt, error)
                if not worth_another(error, call.repeatable) or _now() + pause >= end:
                    raise
            await asyncio.sleep(pause)

    async def _attempt(self, call: _Call, limit: float) -> Json:
        if call.method != "GET" and not self._may_write():
            raise NotLeading(f"{call}: not sent, the Lease is not ours")
        began = _now()
        outcome = 0
        try:
            async with asyncio.timeout(limit):
                outcome, headers, raw = await self._request(call)
        except TimeoutError as error:
            raise Unreachable(f"{call}: no answer within {limit:.1f} s") from error
        except (aiohttp.ClientError, OSError, OpenApiException, ConfigException) as error:
            raise Unreachable(f"{call}: {type(error).__name__}: {error}") from error
        finally:
            self._observe(Attempt(call.verb, call.kind, outcome, _now() - began))
        return _answer(call, outcome, headers, raw)

    async def _request(self, call: _Call) -> tuple[int, Mapping[str, str], bytes]:
        method, url, headers, body, _ = await self._api.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query),
            header_params={"Accept": _JSON, "Content-Type": call.content_type},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(
            # The deadline is the caller's; its own default of 300 s is set beyond reach of it.
            method,
            url,
            headers,
            body,
            _request_timeout=2 * ATTEMPT_LIMIT,
        )
        return response.status, response.headers, await response.read()  # type: ignore[no-untyped-call]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _answer(call: _Call, status: int, headers: Mapping[str, str], raw: bytes) -> Json:
    try:
        answer = json.loads(raw)
    except ValueError:  # a proxy, or the server when a kind is not served
        answer = None
    if status < 400 and isinstance(answer, dict):
        return answer
    if status < 400:
        raise ApiError(str(call), 502, "", "an answer that is no JSON object")
    said: Json = answer if isinstance(answer, dict) else {}
    message = said.get("message") or raw[:200].decode(errors="replace").strip()
    details = said.get("details") or {}
    pause = _retry_after(headers.get("Retry-After"), details)
    raise ApiError(str(call), status, said.get("reason", ""), message, pause, details.get("name"))


def _retry_after(header: str | None, details: Json) -> float | None:
    """Seconds. The API server always writes a number; a proxy's date is left to our own pauses."""
    value = header or details.get("retryAfterSeconds")
    try:
        return max(float(value), 0.0) if value else None
    except ValueError:
        return None


def _path(obj: Json) -> str:
    meta = obj["metadata"]
    return kind_of(obj).path(meta.get("namespace"), meta["name"])


def _present(**query: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in query.items() if value]


def _dry(dry_run: bool) -> list[tuple[str, str]]:
    return [("dryRun", "All")] if dry_run else []
