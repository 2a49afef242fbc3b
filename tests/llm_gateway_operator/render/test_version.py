"""Versions of Kubernetes as servers and people write them, and what comes with which."""

import pytest

from llm_gateway_operator.render.version import ServerVersion

READ = {"1.34": (1, 34), "v1.34.4": (1, 34), "1.27+": (1, 27), "v1.30.2-eks-1234": (1, 30), "2.0": (2, 0)}


@pytest.mark.parametrize(("text", "expected"), READ.items(), ids=READ)
def test_parse(text: str, expected: tuple[int, int]) -> None:
    assert ServerVersion.parse(text) == ServerVersion(*expected)


@pytest.mark.parametrize("text", ["", "1", "1.x", "one.two", "1.34 or so"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a version of Kubernetes like 1\.34"):
        ServerVersion.parse(text)


FEATURES = {
    "the floor": ((1, 25), []),
    "1.27": ((1, 27), ["keys", "policy"]),
    "1.29": ((1, 29), ["keys", "policy"]),
    "1.30": ((1, 30), ["keys", "policy", "sleep"]),
    "2.0": ((2, 0), ["keys", "policy", "sleep"]),
}


@pytest.mark.parametrize(("version", "expected"), FEATURES.values(), ids=FEATURES)
def test_features(version: tuple[int, int], expected: list[str]) -> None:
    server = ServerVersion(*version)
    features = {
        "keys": server.has_match_label_keys,
        "policy": server.has_unhealthy_pod_eviction_policy,
        "sleep": server.has_sleep,
    }
    assert [name for name, there in features.items() if there] == expected
