"""One control plane for these tests, with our kinds, and a namespace and a client of its own for each."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from llm_gateway_operator.kube.client import Client, connected
from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.repository import ROOT

NUMBERS = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    with ControlPlane(crds=(ROOT / "crds",)) as running:
        yield running


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    name = f"test-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", name).text()
    return name


@pytest.fixture
async def client(cluster: ControlPlane) -> AsyncIterator[Client]:
    async with connected(cluster.admin_kubeconfig) as connection:
        yield connection
