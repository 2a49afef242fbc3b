"""One control plane with our kinds and one operator for these tests, and a namespace of its own for each."""

import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.fleet import Fleet
from llm_gateway_testing.repository import ROOT
from llm_gateway_testing.running_operator import NAMESPACE, RunningOperator

NUMBERS = count(1)


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All that was logged, by whomever."""
    path = tmp_path_factory.mktemp("operator") / "log"
    handler = logging.FileHandler(path)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield path
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


@pytest.fixture(scope="session")
def cluster(log: Path) -> Iterator[ControlPlane]:
    with ControlPlane(crds=(ROOT / "crds",)) as running:
        running.kubectl("create", "namespace", NAMESPACE).text()
        yield running


@pytest.fixture(scope="session")
def operator(cluster: ControlPlane) -> Iterator[RunningOperator]:
    with RunningOperator(cluster.admin_kubeconfig) as running:
        yield running


@pytest.fixture
def fleet(cluster: ControlPlane, operator: RunningOperator) -> Fleet:
    namespace = f"team-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", namespace).text()
    return Fleet(cluster, namespace)
