"""Values that are only defaults: where they stand, and that what is laid over them makes them the user's."""

from typing import Any

import pytest

from llm_gateway_operator.render.defaults import Default, default, path_text, said_or, settle
from llm_gateway_operator.render.overlay import overlay

SETTLED: dict[str, tuple[dict[str, Any], Any, list[str]]] = {
    "what is said is no default": ({"a": 1, "b": Default(2)}, {"a": 1, "b": 2}, ["b"]),
    "each leaf of a map is one": (
        {"a": default({"b": 1, "c": {"d": 2}})},
        {"a": {"b": 1, "c": {"d": 2}}},
        ["a.b", "a.c.d"],
    ),
    "a list is a leaf": ({"drop": default(["ALL"])}, {"drop": ["ALL"]}, ["drop"]),
    "a label selector is a leaf": (
        default({"labelSelector": {"matchLabels": {"a": "b"}}}),
        {"labelSelector": {"matchLabels": {"a": "b"}}},
        ["labelSelector"],
    ),
    "an entry of a list map is found by its key, which is no default": (
        default({"containers": [{"name": "gateway", "image": "x"}]}),
        {"containers": [{"name": "gateway", "image": "x"}]},
        ["containers[gateway].image"],
    ),
    "two keys": (
        default({"ports": [{"protocol": "TCP", "containerPort": 80, "name": "x"}]}),
        {"ports": [{"protocol": "TCP", "containerPort": 80, "name": "x"}]},
        ["ports[80,TCP].name"],
    ),
    "an entry without its key is the user's": (
        {"containers": [{"image": "x"}, "text"]},
        {"containers": [{"image": "x"}, "text"]},
        [],
    ),
    "an overlay makes it the user's": (
        overlay(default({"a": {"b": 1, "c": 2}, "drop": ["ALL"]}), {"a": {"b": 3}, "drop": []}),
        {"a": {"b": 3, "c": 2}, "drop": []},
        ["a.c"],
    ),
    "so does an overlay that says the same": (overlay(default({"a": 1}), {"a": 1}), {"a": 1}, []),
}


@pytest.mark.parametrize(("tree", "plain", "paths"), SETTLED.values(), ids=SETTLED)
def test_settle(tree: dict[str, Any], plain: Any, paths: list[str]) -> None:
    settled, found = settle(tree)
    assert settled == plain
    assert [path_text(path) for path in found] == paths


def test_paths_are_written_as_in_managed_fields() -> None:
    _, paths = settle({"spec": default({"ports": [{"containerPort": 80, "protocol": "TCP", "name": "é"}]})})
    assert paths == (("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name"),)


def test_zero_and_false_are_said() -> None:
    assert said_or(0, 2) == 0
    assert said_or(False, True) is False
    assert said_or(None, 2) == Default(2)
