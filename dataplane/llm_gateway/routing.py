"""From the model that a client names to the targets to try, in order."""

import heapq
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from llm_gateway.errors import ModelNotFound
from llm_gateway.target import Target

NEAR_MATCHES = 3
# Wrong names come in as fast as right ones, so the hint to one is cheap, not exhaustive.
COMPARED_NAMES = 500
COMPARED_CHARACTERS = 32  # the last ones: names of models begin alike
SHORT = 20  # characters; with fewer, pairs of neighbours alone say too little
REMEMBERED_HINTS = 64
NEAR = 0.57  # of 1: the share of characters and pairs that two names have in common

Random = Callable[[], float]  # uniform in [0, 1)


@dataclass(frozen=True, slots=True)
class Route:
    """A model's targets by priority, the lowest number first; within one, in name order.

    `label` is the model in metrics: its name, but `provider/*` where any name is served.
    """

    label: str
    groups: tuple[tuple[Target, ...], ...]

    @staticmethod
    def to(label: str, targets: Sequence[Target]) -> "Route":
        ordered = sorted(targets, key=lambda target: (target.priority, target.name))
        priorities = sorted({target.priority for target in ordered})
        return Route(label, tuple(tuple(t for t in ordered if t.priority == p) for p in priorities))


class Routes:
    """Names to routes. A name is looked up whole first, then as `provider/model` (names may hold slashes)."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        open_targets: Mapping[str, Callable[[str], Target]],
        prefixes: Mapping[str, str],
    ) -> None:
        """`open_targets` make a target for any model of a provider; `prefixes` lead bare names to such a provider."""
        self._routes = routes
        self._open_targets = open_targets
        self._prefixes = prefixes
        self._hints: dict[str, str] = {}

    def find(self, model: str) -> Route:
        """Raises ModelNotFound, with the nearest names there are."""
        route = self._routes.get(model)
        if route is None:
            route = self._open(model)
        if route is None:
            raise self._not_found(model)
        return route

    def _open(self, model: str) -> Route | None:
        provider, slash, name = model.partition("/")
        if slash and name and provider in self._open_targets:
            return Route(f"{provider}/*", ((self._open_targets[provider](name),),))
        for prefix, owner in self._prefixes.items():
            if model.startswith(prefix):
                # Exactly str: the decoder's own type of a model's name cannot be encoded again.
                return Route(f"{owner}/*", ((self._open_targets[owner](str(model)),),))
        return None

    def _not_found(self, model: str) -> ModelNotFound:
        tail = model[-COMPARED_CHARACTERS:]
        hint = self._hints.get(tail)
        if hint is None:
            near = near_names(tail, islice(self._routes, COMPARED_NAMES))
            hint = f"did you mean {' or '.join(near)}?" if near else "GET /v1/models lists what is served"
            if len(self._hints) >= REMEMBERED_HINTS:
                self._hints.clear()
            self._hints[tail] = hint
        return ModelNotFound(
            f"the model {model!r} does not exist; {hint}", code="model_not_found", param="model"
        )


def near_names(model: str, names: Iterable[str]) -> list[str]:
    """The names most like a wrong one, the nearest first; case does not count.

    500 names take 1 to 2 ms. difflib, which weighs the order of characters too, takes ten times as long.
    """
    wrong = model[-COMPARED_CHARACTERS:].lower()
    pairs = list(map(operator.add, wrong, wrong[1:]))
    parts, each = ([*wrong, *pairs], 2) if len(wrong) <= SHORT else (pairs, 1)
    scored: list[tuple[float, str]] = []
    for name in names:
        right = name[-COMPARED_CHARACTERS:].lower()
        if len(right) <= 2 * len(wrong) and len(wrong) <= 2 * len(right):
            shared = sum(map(right.__contains__, parts))
            score = 2 * shared / (len(parts) + each * len(right) - 1)
            if score >= NEAR:
                scored.append((-score, name))
    return [name for _, name in heapq.nsmallest(NEAR_MATCHES, scored)]


def order(route: Route, random: Random) -> Sequence[Target]:
    """The targets in the order to try: priority by priority, and within one as the weights draw them."""
    groups = route.groups
    if len(groups) == 1 and len(groups[0]) == 1:
        return groups[0]
    return [target for group in groups for target in _draw(group, random)]


def _draw(group: Sequence[Target], random: Random) -> Sequence[Target]:
    """No weight written: name order. Else a draw in proportion, without return; weight 0 (or none) only at the end."""
    if len(group) == 1 or all(target.weight is None for target in group):
        return group
    drawn: list[Target] = []
    left = [target for target in group if target.weight]
    while left:
        point = random() * sum(target.weight or 0 for target in left)
        for target in left:
            point -= target.weight or 0
            if point < 0:
                break
        left.remove(target)
        drawn.append(target)
    return drawn + [target for target in group if not target.weight]
