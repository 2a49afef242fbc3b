"""The Client's own rules, with the library's transport in place of a server, in virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest

from llm_gateway_operator.kube.client import Attempt, Client
from llm_gateway_operator.kube.errors import ApiError, KubeError, NotLeading, Unreachable
from llm_gateway_operator.kube.kinds import CONFIG_MAP, Json
from llm_gateway_testing.virtual_time import run

CONFIG: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "c"}}
GONE = {"reason": "NotFound", "message": 'configmaps "c" not found', "details": {"name": "c"}}
HANG = asyncio.TimeoutError  # in the place of an answer: none comes


class Answer:
    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self._raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read(self) -> bytes:
        return self._raw


class Transport:
    """In the place of `kubernetes.aio.client.ApiClient`. The last answer is given again and again."""

    def __init__(self, *answers: Answer | Exception | type[Exception]) -> None:
        self.sent: list[tuple[str, float]] = []
        self._answers = list(answers)

    async def param_serialize(self, method: str, path: str, **more: Any) -> tuple[Any, ...]:
        return method, path, more["header_params"], more["body"], None

    async def call_api(self, method: str, url: str, *_: Any, **__: Any) -> Answer:
        self.sent.append((method, asyncio.get_running_loop().time()))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is HANG:
            await asyncio.sleep(1e6)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answer)
        return answer


Call = Callable[[Client], Coroutine[Any, Any, Any]]

CALLS: dict[str, Call] = {
    "get": lambda client: client.get(CONFIG_MAP, "n", "c"),
    "apply": lambda client: client.apply(CONFIG, "m"),
    "patch_status": lambda client: client.patch_status(CONFIG_MAP, "n", "c", {}, None, "m"),
    "replace": lambda client: client.replace(CONFIG, "m"),
    "delete": lambda client: client.delete(CONFIG_MAP, "n", "c", "u"),
    "create": lambda client: client.create(CONFIG, "m"),
}


def outcome(transport: Transport, call: Call, **options: Any) -> Any:
    """What the call returned, or the error that it raised."""

    async def main() -> Any:
        try:
            return await call(Client(transport, **options))  # type: ignore[arg-type]
        except KubeError as error:
            return error

    return run(main())


FINE = Answer(200, CONFIG)
PASSING = {
    "too many requests": Answer(429, {"reason": "TooManyRequests"}),
    "an internal error": Answer(500, {"reason": "InternalError"}),
    "unavailable, said by a proxy": Answer(503, b"<html>"),
    "a refused connection": aiohttp.ClientConnectionError("refused"),
    "a broken connection": ConnectionResetError("reset"),
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("verb", [verb for verb in CALLS if verb != "create"])
def test_passing_trouble_is_sat_out(verb: str, trouble: Answer | Exception) -> None:
    transport = Transport(trouble, trouble, FINE)
    assert not isinstance(outcome(transport, CALLS[verb]), Exception)
    assert len(transport.sent) == 3


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING.keys())
def test_a_creation_is_sent_again_only_when_nothing_was_done(trouble: Answer | Exception) -> None:
    transport = Transport(trouble, FINE)
    answer = outcome(transport, CALLS["create"])
    retried = isinstance(trouble, Answer) and trouble.status == 429
    assert isinstance(answer, KubeError) is not retried
    assert len(transport.sent) == (2 if retried else 1)


@pytest.mark.parametrize("verb", CALLS)
def test_a_refusal_is_told_at_once(verb: str) -> None:
    transport = Transport(Answer(403, {"reason": "Forbidden", "message": "no right to"}))
    error = outcome(transport, CALLS[verb])
    assert isinstance(error, ApiError)
    assert (error.status, error.reason, error.message) == (403, "Forbidden", "no right to")
    assert len(transport.sent) == 1


def test_a_server_that_hangs_is_unreachable_after_thirty_seconds_and_three_attempts() -> None:
    transport = Transport(HANG)

    async def main() -> float:
        with pytest.raises(Unreachable, match="no answer within"):
            await CALLS["apply"](Client(transport))  # type: ignore[arg-type]
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(30.0, abs=0.5)
    assert 3 <= len(transport.sent) <= 4


def test_a_limit_holds_for_all_attempts_together() -> None:
    async def main() -> float:
        with pytest.raises(Unreachable):
            await Client(Transport(HANG)).get(CONFIG_MAP, "n", "c", limit=2.0)  # type: ignore[arg-type]
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(2.0)


def test_a_storm_of_errors_ends_with_the_last_one_within_thirty_seconds() -> None:
    async def main() -> float:
        with pytest.raises(ApiError, match="500"):
            await CALLS["get"](Client(Transport(Answer(500, {"reason": "InternalError"}))))  # type: ignore[arg-type]
        return asyncio.get_running_loop().time()

    assert 20 < run(main()) <= 30


def test_retry_after_is_waited_for() -> None:
    transport = Transport(Answer(429, {}, {"Retry-After": "7"}), FINE)
    outcome(transport, CALLS["create"])
    assert [at for _, at in transport.sent] == [0.0, pytest.approx(7.0)]


def test_a_retry_after_beyond_the_limit_is_handed_to_the_caller() -> None:
    transport = Transport(Answer(429, {"details": {"retryAfterSeconds": 120}}))
    error = outcome(transport, CALLS["apply"])
    assert isinstance(error, ApiError)
    assert (error.retry_after, len(transport.sent)) == (120.0, 1)


def test_a_deleted_object_is_none_and_a_kind_that_is_not_served_is_an_error() -> None:
    assert outcome(Transport(Answer(404, GONE)), CALLS["get"]) is None
    for other in (b"404 page not found", {**GONE, "details": {"name": "other"}}, {"reason": "NotFound"}):
        error = outcome(Transport(Answer(404, other)), CALLS["get"])
        assert isinstance(error, ApiError)
        assert error.not_found


def test_deleting_what_is_gone_is_no_error() -> None:
    assert outcome(Transport(Answer(404, GONE)), CALLS["delete"]) is False
    assert outcome(Transport(Answer(200, {"kind": "Status"})), CALLS["delete"]) is True


@pytest.mark.parametrize("verb", [verb for verb in CALLS if verb != "get"])
def test_nothing_is_written_once_the_lease_is_lost(verb: str) -> None:
    leading = [True, False]
    transport = Transport(Answer(429, {}), FINE)
    error = outcome(transport, CALLS[verb], may_write=lambda: leading.pop(0))
    assert isinstance(error, NotLeading)
    assert len(transport.sent) == 1  # the first attempt, while it was ours


def test_reading_needs_no_lease() -> None:
    assert outcome(Transport(FINE), CALLS["get"], may_write=lambda: False) == CONFIG


def test_each_attempt_is_measured() -> None:
    seen: list[Attempt] = []
    transport = Transport(Answer(503, {}), aiohttp.ClientConnectionError("refused"), FINE)
    outcome(transport, CALLS["apply"], observe=seen.append)
    assert [(each.verb, each.kind, each.outcome) for each in seen] == [
        ("patch", "configmaps", 503),
        ("patch", "configmaps", 0),
        ("patch", "configmaps", 200),
    ]


def test_an_error_names_the_object_and_never_what_was_sent() -> None:
    secret = {**CONFIG, "data": {"k": "planted-secret-value"}}
    for answer in (Answer(422, {"reason": "Invalid", "message": "bad"}), HANG, OSError("broken")):
        error = outcome(Transport(answer), lambda client: client.apply(secret, "m", limit=1.0))
        assert "patch /api/v1/namespaces/n/configmaps/c" in str(error)
        assert "planted-secret-value" not in str(error)


def test_no_exception_of_a_library_comes_through() -> None:
    for answer in (
        aiohttp.ClientPayloadError("x"),
        aiohttp.ServerDisconnectedError(),
        OSError("x"),
        Answer(200, b"[]"),
        Answer(200, b"\xff"),
    ):
        assert isinstance(outcome(Transport(answer), CALLS["create"]), KubeError)
