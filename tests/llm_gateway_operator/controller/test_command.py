"""`llm-gateway-operator run` as a process."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.cluster.ports import free_ports
from llm_gateway_testing.fleet import Fleet, gateway, provider
from llm_gateway_testing.repository import ROOT

PROGRAM = Path(sys.executable).with_name("llm-gateway-operator")


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Its own, on which no other operator runs."""
    with ControlPlane(crds=(ROOT / "crds",)) as running:
        yield running


def environment(kubeconfig: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KUBE")}
    return {**kept, "KUBECONFIG": str(kubeconfig)}


def test_it_serves_its_namespace_until_it_is_told_to_stop(cluster: ControlPlane, tmp_path: Path) -> None:
    for name in ("alone", "alone-operator", "beside"):
        cluster.kubectl("create", "namespace", name).text()
    alone, beside = Fleet(cluster, "alone"), Fleet(cluster, "beside")
    [port] = free_ports(1)
    command = [str(PROGRAM), "run", "--namespace=alone", "--operator-namespace=alone-operator"]
    command += ["--gateway-image=registry.example.com/x:1", "--host=127.0.0.1", f"--port={port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(cluster.admin_kubeconfig), stdout=log, stderr=log)
    try:
        beside.apply(provider("mock"), gateway())
        alone.apply(provider("mock"), gateway())
        eventually("it is published", lambda: alone.providers() == {"mock"})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert answer.status == 200
        # Nobody has asked a pod, so nothing is claimed.
        alone.says("Programmed", "False", "Pending")
        alone.make_pods_ready()
        alone.says("Programmed", "Unknown", "Unreachable")
        alone.says("Ready", "Unknown", "Progressing")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(40)
    assert code == 0, (tmp_path / "log").read_text()
    lease = cluster.kubectl(
        "get", "lease", "llm-gateway-operator", "--namespace=alone-operator", "-o", "json"
    ).json()
    assert lease["spec"]["holderIdentity"] == ""
    assert beside.names() == set()


def test_without_a_cluster_it_says_so_and_ends(tmp_path: Path) -> None:
    ran = subprocess.run(
        [str(PROGRAM), "run"],
        env=environment(tmp_path / "absent"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "no way to reach an API server" in ran.stderr
    assert "Traceback" not in ran.stderr
