"""A partial pod template over a rendered one: what is merged, what replaced, what taken away."""

from typing import Any

import pytest

from llm_gateway_operator.render.overlay import overlay

Data = dict[str, Any]

LAID: dict[str, tuple[Data, Data, Data]] = {
    "a field of its own comes after ours": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "a field that is there is replaced": ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
    "maps are merged": ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    "null takes a field away": ({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"c": None}}, {"b": {}}),
    "null in what is new is left out": ({}, {"a": {"b": None, "c": [{"d": None}]}}, {"a": {"c": [{}]}}),
    "a list is replaced": ({"args": ["a", "b"]}, {"args": ["c"]}, {"args": ["c"]}),
    "an entry is found by its key": (
        {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]},
        {"containers": [{"name": "b", "image": "3"}, {"name": "c"}]},
        {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c"}]},
    ),
    "lists inside entries are merged too": (
        {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]},
        {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}, {"name": "Y", "value": "3"}]}]},
        {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}, {"name": "Y", "value": "3"}]}]},
    ),
    "a port is found by its name": (
        {"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]},
        {"ports": [{"name": "http", "containerPort": 8081}]},
        {"ports": [{"name": "http", "containerPort": 8081, "protocol": "TCP"}]},
    ),
    "a port is found by its number": (
        {"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]},
        {"ports": [{"name": "web", "containerPort": 8080}]},
        {"ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]},
    ),
    "a port of another protocol is another": (
        {"ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]},
        {"ports": [{"containerPort": 8080, "protocol": "UDP"}]},
        {
            "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"containerPort": 8080, "protocol": "UDP"},
            ]
        },
    ),
    "a volume is replaced, or it would be of two kinds": (
        {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}]},
        {"volumes": [{"name": "tmp", "ephemeral": {}}]},
        {"volumes": [{"name": "tmp", "ephemeral": {}}]},
    ),
    "a constraint needs both of its keys": (
        {"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]},
        {"topologySpreadConstraints": [{"topologyKey": "zone"}]},
        {
            "topologySpreadConstraints": [
                {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
                {"topologyKey": "zone"},
            ]
        },
    ),
    "another way to probe replaces ours": (
        {"livenessProbe": {"httpGet": {"path": "/live"}, "periodSeconds": 1}},
        {"livenessProbe": {"exec": {"command": ["true"]}}},
        {"livenessProbe": {"periodSeconds": 1, "exec": {"command": ["true"]}}},
    ),
    "the same way to probe is merged": (
        {"livenessProbe": {"httpGet": {"path": "/live", "port": 1}}},
        {"livenessProbe": {"httpGet": {"port": 2}}},
        {"livenessProbe": {"httpGet": {"path": "/live", "port": 2}}},
    ),
    "what is no entry stays for the API server to refuse": (
        {"containers": [{"name": "a"}]},
        {"containers": ["text", {"image": "1"}]},
        {"containers": [{"name": "a"}, "text", {"image": "1"}]},
    ),
    "what is no list stays for the API server to refuse": (
        {"containers": [{"name": "a"}]},
        {"containers": "text"},
        {"containers": "text"},
    ),
}


@pytest.mark.parametrize(("base", "patch", "expected"), LAID.values(), ids=LAID)
def test_overlay(base: Data, patch: Data, expected: Data) -> None:
    laid = overlay(base, patch)
    assert laid == expected
    assert list(laid) == list(expected)


def test_the_base_stays_as_it_is() -> None:
    base = {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}
    overlay(base, {"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}]}, {"name": "b"}]})
    assert base == {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}
