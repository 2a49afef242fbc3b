"""From a model's name to the targets in order: names, weights, priorities, near matches."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from llm_gateway.call import Call
from llm_gateway.drive import Signal
from llm_gateway.errors import GatewayError, ModelNotFound, Unavailable
from llm_gateway.pipeline import handle
from llm_gateway.routing import COMPARED_NAMES, REMEMBERED_HINTS, Route, Routes, near_names, order
from llm_gateway_testing.driven import SetClock
from llm_gateway_testing.inprocess import InProcess, runtime

OPEN = "{type: mock, open_models: {prefixes: [gpt-, o3]}, models: [listed]}"
NAMES = """
providers:
  alpha: {type: mock, models: [small, "org/big", "beta/small", shared]}
  beta: {type: mock, models: [small, shared, "gpt-own"]}
  open: OPEN
routing:
  models:
    chat: {targets: [{provider: alpha, model: small}]}
    shared: {targets: [{provider: beta, model: shared}]}
    "open/routed": {targets: [{provider: beta, model: small}]}
    "team/chat": {targets: [{provider: beta, model: small}]}
""".replace("OPEN", OPEN)

# Label for metrics, then the targets in order.
FOUND: dict[str, tuple[str, tuple[str, list[str]]]] = {
    "a routed model": ("chat", ("chat", ["alpha/small"])),
    "a routed model with a slash": ("team/chat", ("team/chat", ["beta/small"])),
    "a model of one provider": ("org/big", ("org/big", ["alpha/org/big"])),
    "a model of two providers goes to both": ("small", ("small", ["alpha/small", "beta/small"])),
    "a routed model hides the same name of providers": ("shared", ("shared", ["beta/shared"])),
    "provider/model reaches what is hidden": ("alpha/shared", ("alpha/shared", ["alpha/shared"])),
    "provider/model picks one of two": ("alpha/small", ("alpha/small", ["alpha/small"])),
    "provider/model with a slash in the model": ("alpha/org/big", ("alpha/org/big", ["alpha/org/big"])),
    "an exact name beats provider/model": ("beta/small", ("beta/small", ["alpha/beta/small"])),
    "an exact name beats an open provider": ("open/routed", ("open/routed", ["beta/small"])),
    "an exact name beats a prefix": ("gpt-own", ("gpt-own", ["beta/gpt-own"])),
    "any model of an open provider": ("open/anything", ("open/*", ["open/anything"])),
    "any model of an open provider, with slashes": ("open/a/b/c", ("open/*", ["open/a/b/c"])),
    "a listed model of an open provider": ("open/listed", ("open/listed", ["open/listed"])),
    "a prefix leads a bare name to an open provider": ("gpt-5", ("open/*", ["open/gpt-5"])),
    "a prefix is a whole name, too": ("o3", ("open/*", ["open/o3"])),
    "a prefix leads a name with a slash": ("gpt-5/beta", ("open/*", ["open/gpt-5/beta"])),
}


@pytest.fixture(scope="module")
def routes() -> Routes:
    return runtime(NAMES).routes


@pytest.mark.parametrize(("name", "expected"), FOUND.values(), ids=FOUND)
def test_find(routes: Routes, name: str, expected: tuple[str, list[str]]) -> None:
    route = routes.find(name)
    assert (route.label, [target.name for target in order(route, random.random)]) == expected


NOT_FOUND: dict[str, tuple[str, str]] = {
    "a near name is offered": ("smal", "did you mean small?"),
    "several near names are offered": ("alpha/smal", "did you mean alpha/small or "),
    "a name far from all": ("zzzzzz", "GET /v1/models lists what is served"),
    "no model is named": ("", "GET /v1/models lists what is served"),
    "a provider without a model": ("open/", "does not exist"),
    "no provider before the slash": ("/anything", "does not exist"),
    "a provider that is not open": ("beta/anything", "does not exist"),
    "a provider in another case": ("OPEN/anything", "does not exist"),
    "a prefix in another case": ("GPT-5", "does not exist"),
    "a prefix in the middle": ("my-gpt-5", "does not exist"),
}


@pytest.mark.parametrize(("name", "hint"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_not_found(routes: Routes, name: str, hint: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        routes.find(name)
    error = raised.value
    assert hint in error.message
    assert repr(name) in error.message
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")


def test_a_long_list_of_models_is_not_compared_whole() -> None:
    models = ", ".join(f"m{number:04}" for number in range(2000))
    routes = runtime(f"providers: {{p: {{type: mock, models: [{models}, zebra-crossing]}}}}").routes
    with pytest.raises(ModelNotFound) as raised:
        routes.find("zebra-crossinq")
    assert "GET /v1/models" in raised.value.message


NEAR: dict[str, tuple[str, list[str]]] = {
    "a character too few": ("smal", ["small"]),
    "a character too many": ("echoo", ["echo"]),
    "another character": ("ecko", ["echo"]),
    "two characters exchanged": ("chta", ["chat"]),
    "a hyphen forgotten, the nearest first": ("gpt4o-mini", ["gpt-4o-mini", "gpt-4o"]),
    "another case": ("GPT-4O-MINI", ["gpt-4o-mini", "gpt-4o"]),
    "another end of a long name": (
        "fireworks/accounts/fireworks/models/llama-v3p1-405b",
        ["fireworks/accounts/fireworks/models/llama-v3p1-405b-instruct"],
    ),
    "nothing like any": ("xyzzy", []),
    "one character": ("q", []),
    "no character": ("", []),
}
SERVED = [
    *("gpt-4o", "gpt-4o-mini", "small", "echo", "chat"),
    "fireworks/accounts/fireworks/models/llama-v3p1-405b-instruct",
    "fireworks/accounts/fireworks/models/qwen2p5-coder-32b",
]


@pytest.mark.parametrize(("name", "expected"), NEAR.values(), ids=NEAR)
def test_near_names(name: str, expected: list[str]) -> None:
    assert near_names(name, SERVED) == expected


def test_a_wrong_name_costs_little_among_many_long_ones() -> None:
    letters = random.Random(1)
    names = ["".join(letters.choices("abcdefghij-/.0123456789", k=200)) for _ in range(COMPARED_NAMES)]
    began = time.process_time()
    for number in range(100):
        near_names(names[number] + "x", names)
    # 1 to 2 ms each; difflib took 20 times as long.
    assert time.process_time() - began < 1.2


def test_hints_are_remembered_but_not_without_bound() -> None:
    routes = runtime(NAMES).routes
    for name in (*(f"smal{number}" for number in range(3 * REMEMBERED_HINTS)), "smal", "smal"):
        with pytest.raises(ModelNotFound) as raised:
            routes.find(name)
    assert "did you mean small?" in raised.value.message
    assert 0 < len(routes._hints) <= REMEMBERED_HINTS


# The order of targets.


def route(*targets: str) -> Route:
    """Targets as `name`, `name weight` or `name weight priority`; weight `-` is none written."""
    lines: list[str] = []
    for target in targets:
        name, weight, priority = target.split() + ["-", "0"][target.count(" ") :]
        written = "" if weight == "-" else f", weight: {weight}"
        lines.append(f"{{provider: p, model: {name}, priority: {priority}{written}}}")
    names = ", ".join(target.split()[0] for target in targets)
    document = f"""
providers: {{p: {{type: mock, models: [{names}]}}}}
routing: {{models: {{routed: {{targets: [{", ".join(lines)}]}}}}}}
"""
    return runtime(document).routes.find("routed")


def scripted(*draws: float) -> Callable[[], float]:
    """A random source that knows its numbers; to ask for more is an error."""
    numbers: Iterator[float] = iter(draws)
    return lambda: next(numbers)


ORDERS: dict[str, tuple[tuple[str, ...], tuple[float, ...], list[str]]] = {
    "one target needs no draw": (("a 5",), (), ["a"]),
    "no weight written: by name": (("c", "a", "b"), (), ["a", "b", "c"]),
    "the lowest number of the draw takes the first": (("a 80", "b 20"), (0.0, 0.0), ["a", "b"]),
    "just below the share of the first": (("a 80", "b 20"), (0.7999, 0.0), ["a", "b"]),
    "just at the share of the first": (("a 80", "b 20"), (0.8, 0.0), ["b", "a"]),
    "the highest number takes the last": (("a 80", "b 20"), (0.9999999999999999, 0.0), ["b", "a"]),
    "drawn without return": (("a 1", "b 1", "c 2"), (0.5, 0.5, 0.0), ["c", "b", "a"]),
    "weight 0 comes after all others": (("a 0", "b 1", "c 1"), (0.6, 0.0), ["c", "b", "a"]),
    "weight 0 on all: by name": (("b 0", "a 0"), (), ["a", "b"]),
    "no weight beside a weight is as 0": (("a", "b 3"), (0.99,), ["b", "a"]),
    "priorities in order, whatever the names": (("a - 2", "b - 0", "c - 1"), (), ["b", "c", "a"]),
    "a draw within each priority": (
        ("a 1 0", "b 1 0", "c 1 1", "d 1 1"),
        (0.5, 0.0, 0.5, 0.0),
        ["b", "a", "d", "c"],
    ),
    "weights of one priority do not touch another": (("a - 1", "b - 1", "c 9 0"), (), ["c", "a", "b"]),
    "weight 0 of the first priority comes before the second": (("a 0 0", "b 9 1"), (), ["a", "b"]),
    "large weights": (("a 1000000", "b 1"), (0.5, 0.0), ["a", "b"]),
}


@pytest.mark.parametrize(("targets", "draws", "expected"), ORDERS.values(), ids=ORDERS)
def test_order(targets: tuple[str, ...], draws: tuple[float, ...], expected: list[str]) -> None:
    drawn = order(route(*targets), scripted(*draws))
    assert [target.model for target in drawn] == expected


def test_first_targets_are_drawn_in_proportion() -> None:
    rounds = 20_000
    drawing = route("a 70", "b 20", "c 10", "d 0")
    source = random.Random(20260101)
    orders = Counter(tuple(target.model for target in order(drawing, source.random)) for _ in range(rounds))
    assert all(names[-1] == "d" for names in orders)
    firsts = Counter[str]()
    seconds_after_a = Counter[str]()
    for names, count in orders.items():
        firsts[names[0]] += count
        if names[0] == "a":
            seconds_after_a[names[1]] += count
    # 4 standard deviations of a share of 20000 draws are 0.014 at most.
    assert {name: pytest.approx(count / rounds, abs=0.014) for name, count in firsts.items()} == {
        "a": 0.7,
        "b": 0.2,
        "c": 0.1,
    }
    # The rest is drawn in proportion as well: 20 to 10.
    assert seconds_after_a["b"] / firsts["a"] == pytest.approx(2 / 3, abs=0.02)


def test_the_route_itself_does_not_change() -> None:
    drawing = route("a 1", "b 1", "c 1")
    before = drawing.groups
    for draw in (0.0, 0.4, 0.9):
        order(drawing, scripted(draw, draw, draw))
    assert drawing.groups == before


# A routed model whose providers were all left out.

WITHOUT = """
providers:
  keyless: {type: openai, api_key: {file: absent}, models: [gpt-4o]}
  mock: {type: mock, models: [gpt-4o, echo]}
routing: {models: {gpt-4o: {targets: [{provider: keyless, model: gpt-4o}]}}}
"""


class Answered:
    """A sink that keeps the error."""

    headers = b""
    full = False
    started = False

    def __init__(self) -> None:
        self.writable = Signal(SetClock())
        self.errors: list[GatewayError] = []

    def fail(self, error: GatewayError) -> None:
        self.errors.append(error)


async def test_a_routed_model_without_targets_is_unavailable_not_unknown() -> None:
    """It must not fall back to the provider's model of that name either, which routing hides."""
    process = InProcess(WITHOUT)
    sink = Answered()
    body = b'{"model": "gpt-4o", "messages": []}'
    await handle(Call(body, "req_1", b"", "", process.clock.now(), sink), process.gateway)  # type: ignore[arg-type]
    (error,), (record,) = sink.errors, process.records
    assert isinstance(error, Unavailable)
    assert (error.status, error.type) == (503, "server_error")
    assert (record.model, record.provider, record.attempts) == ("gpt-4o", "", 0)
    assert (record.status, record.http_status) == ("error", 503)
