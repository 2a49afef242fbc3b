"""One control plane for each module of tests, one namespace for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from llm_gateway_testing.cluster.controlplane import ControlPlane

WIDGETS = Path(__file__).with_name("widget-crd.yaml")
NUMBERS = count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """It serves the kind Widget."""
    with ControlPlane(crds=(WIDGETS,)) as running:
        yield running


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    """A new one; it goes with its cluster."""
    name = f"test-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", name).text()
    return name
