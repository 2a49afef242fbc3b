"""When a request is sent again, and after which pause. Pure: the clock is the caller's."""

from collections.abc import Callable
from dataclasses import dataclass

from llm_gateway_operator.kube.errors import ApiError, KubeError, Unreachable

_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 5.0
_RETRIED = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Pauses:
    """`random`: uniform in [0, 1)."""

    random: Callable[[], float]

    def before(self, attempt: int, error: KubeError) -> float:
        """Seconds to wait before attempt number `attempt` (2, 3, ...); at least what the server asked for."""
        pause = min(_FIRST_PAUSE * 2.0 ** (attempt - 2), _LONGEST_PAUSE) * (0.5 + self.random())
        return max(pause, error.retry_after or 0.0)


def worth_another(error: KubeError, repeatable: bool) -> bool:
    """Whether the same request may be sent again within one call.

    `repeatable` False: a second sending after a first that may have worked would be answered wrongly
    (AlreadyExists to the one who created it), so only a 429 is retried: there nothing was done.
    """
    if isinstance(error, ApiError):
        if error.status == 429:
            return True
        return repeatable and error.transient and error.status in _RETRIED
    return repeatable and isinstance(error, Unreachable)
