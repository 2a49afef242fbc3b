"""How long a pod in a cluster lets open requests finish, where the LLMGateway does not say it.

The longest `timeouts.total` of its providers, rounded up to 10, 30 or 60 minutes (longer ones to whole hours), and
never less than before: the pods' grace period follows it, so an edit of a provider should not change it.
"""

import math
from collections.abc import Iterable

from llm_gateway_config.document import Timeouts
from llm_gateway_operator.api.provider import LLMProvider

_STEPS = (600.0, 1800.0)
_HOUR = 3600.0


def drain_timeout(providers: Iterable[LLMProvider], floor: float) -> float:
    """In seconds. `floor`: what is in force."""
    return max(floor, _rounded(max((_total(provider) for provider in providers), default=0.0)))


def _total(provider: LLMProvider) -> float:
    timeouts = provider.spec.timeouts
    total = timeouts.total if timeouts else None
    return Timeouts().total if total is None else total


def _rounded(seconds: float) -> float:
    return next((step for step in _STEPS if seconds <= step), math.ceil(seconds / _HOUR) * _HOUR)
