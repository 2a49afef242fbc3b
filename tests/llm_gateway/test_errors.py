import json

import pytest

from llm_gateway.errors import (
    BadRequest,
    FailureKind,
    GatewayError,
    Internal,
    ModelNotFound,
    PayloadTooLarge,
    ProviderFailed,
    ProviderTimeout,
    RateLimited,
    Unavailable,
    UnsupportedMediaType,
    UpstreamFailure,
    error_body,
    final_error,
)

SHAPES: dict[str, tuple[GatewayError, tuple[int, str, str | None]]] = {
    "a bad request": (BadRequest("m"), (400, "invalid_request_error", None)),
    "an unknown model": (ModelNotFound("m"), (404, "not_found_error", "model_not_found")),
    "too large": (PayloadTooLarge("m"), (413, "invalid_request_error", None)),
    "a wrong type": (UnsupportedMediaType("m"), (415, "invalid_request_error", None)),
    "too many": (RateLimited("m"), (429, "rate_limit_error", None)),
    "a bug": (Internal("m"), (500, "server_error", None)),
    "a failed provider": (ProviderFailed("m"), (502, "provider_error", None)),
    "nobody there": (Unavailable("m"), (503, "server_error", None)),
    "a slow provider": (ProviderTimeout("m"), (504, "provider_error", "provider_timeout")),
    "an odd one": (
        GatewayError("m", status=405, type="invalid_request_error", code="c"),
        (405, "invalid_request_error", "c"),
    ),
}


@pytest.mark.parametrize("sentence", SHAPES)
def test_errors_look_like_those_of_openai(sentence: str) -> None:
    error, (status, kind, code) = SHAPES[sentence]
    assert error.status == status
    assert json.loads(error.body()) == {"error": {"message": "m", "type": kind, "param": None, "code": code}}


def test_a_message_that_utf8_cannot_carry_is_still_a_body() -> None:
    body = error_body("x\ud800", "t\ud800", param="p\ud800", code="c\ud800")
    assert json.loads(body)["error"] == {"message": "x?", "type": "t?", "param": "p?", "code": "c?"}
    assert json.loads(error_body("x\ud800", "t", code=7))["error"]["code"] == 7


def fails(kind: str, message: str = "broke", retry_after: float | None = None) -> UpstreamFailure:
    return UpstreamFailure(FailureKind(kind), message, retry_after=retry_after)


FINAL: dict[str, tuple[list[UpstreamFailure], tuple[int, str, float | None]]] = {
    "nothing was tried": ([], (503, "server_error", None)),
    "one failed": ([fails("status")], (502, "provider_error", None)),
    "all limited: the shortest wait": (
        [fails("rate_limit", retry_after=9), fails("rate_limit", retry_after=2.5), fails("rate_limit")],
        (429, "rate_limit_error", 2.5),
    ),
    "all limited, none says how long": ([fails("rate_limit")], (429, "rate_limit_error", None)),
    "limited and out of quota": (
        [fails("quota", retry_after=1), fails("rate_limit", retry_after=3)],
        (429, "rate_limit_error", 3),
    ),
    "all out of quota": ([fails("quota")], (502, "provider_error", None)),
    "limited and broken": ([fails("rate_limit"), fails("reset")], (502, "provider_error", None)),
    "limited and slow": ([fails("rate_limit"), fails("timeout")], (504, "provider_error", None)),
    "slow and broken": ([fails("timeout"), fails("bad_answer")], (504, "provider_error", None)),
    "the gateway's own key": ([fails("credential")], (502, "provider_error", None)),
}


@pytest.mark.parametrize("sentence", FINAL)
def test_what_a_client_sees_of_failures(sentence: str) -> None:
    failures, expected = FINAL[sentence]
    error = final_error([(f"p{at}/m", failure) for at, failure in enumerate(failures)])
    assert (error.status, error.type, error.retry_after) == expected


def test_the_message_names_each_target() -> None:
    slow = fails("timeout", "timed out after 60 s waiting for headers")
    assert final_error([("openai/gpt-4o", slow), ("mock/echo", fails("status", "answered 500"))]).message == (
        "all 2 targets failed: openai/gpt-4o: timed out after 60 s waiting for headers; mock/echo: answered 500"
    )
    assert final_error([("mock/echo", fails("status", "answered 500"))]).message == "mock/echo: answered 500"


def test_a_verdict_on_the_request_is_relayed_as_it_is() -> None:
    verdict = UpstreamFailure(FailureKind.status, "answered 422", status=422, relay=b'{"error":{}}')
    assert not verdict.retryable
    error = final_error([("a/m", fails("timeout")), ("b/m", verdict)])
    assert (error.status, error.body()) == (422, b'{"error":{}}')


def test_everything_else_may_be_tried_elsewhere() -> None:
    assert all(fails(kind).retryable for kind in FailureKind)
