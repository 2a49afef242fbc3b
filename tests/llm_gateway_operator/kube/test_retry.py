import pytest

from llm_gateway_operator.kube.errors import ApiError, KubeError, Unreachable
from llm_gateway_operator.kube.retry import Pauses, worth_another


def refused(status: int, message: str = "no") -> ApiError:
    return ApiError("patch x", status, "", message)


# For a call that may be repeated, and for one that may not.
RETRIED = {
    "too many requests": (refused(429), True, True),
    "an internal error": (refused(500), True, False),
    "a bad gateway": (refused(502), True, False),
    "unavailable": (refused(503), True, False),
    "a gateway that waited in vain": (refused(504), True, False),
    "no answer": (Unreachable("x"), True, False),
    "a field that the schema does not know": (
        refused(500, "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): ..."),
        False,
        False,
    ),
    "bytes that are no base64": (
        refused(500, "failed to convert new object (a/b; /v1, Kind=Secret) to proper version: ..."),
        False,
        False,
    ),
    "bad request": (refused(400), False, False),
    "unauthorized": (refused(401), False, False),
    "forbidden": (refused(403), False, False),
    "not found": (refused(404), False, False),
    "conflict": (refused(409), False, False),
    "gone": (refused(410), False, False),
    "invalid": (refused(422), False, False),
}


@pytest.mark.parametrize(("error", "repeatable", "once_only"), RETRIED.values(), ids=RETRIED.keys())
def test_what_is_sent_again(error: KubeError, repeatable: bool, once_only: bool) -> None:
    assert worth_another(error, repeatable=True) is repeatable
    assert worth_another(error, repeatable=False) is once_only


def test_pauses_grow_to_a_bound_and_are_varied() -> None:
    middle = Pauses(lambda: 0.5)
    pauses = [middle.before(attempt, Unreachable("x")) for attempt in range(2, 12)]
    assert pauses[:4] == [pytest.approx(seconds) for seconds in (0.2, 0.4, 0.8, 1.6)]
    assert max(pauses) == pauses[-1] == 5.0
    assert Pauses(lambda: 0.0).before(2, Unreachable("x")) == pytest.approx(0.1)


def test_the_server_is_left_alone_for_as_long_as_it_asks() -> None:
    error = ApiError("get x", 429, "TooManyRequests", "slow down", retry_after=3.0)
    assert Pauses(lambda: 0.0).before(2, error) == 3.0


TRANSIENT = {
    401: True,
    403: True,
    409: True,
    429: True,
    500: True,
    503: True,
    400: False,
    404: False,
    422: False,
}


@pytest.mark.parametrize(("status", "transient"), TRANSIENT.items())
def test_what_may_succeed_later_without_a_change(status: int, transient: bool) -> None:
    assert refused(status).transient is transient
