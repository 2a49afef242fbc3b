"""Nothing is written when nothing happens, nor after a restart; statuses never lie; no value of a Secret gets out."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_operator.yielding import MANAGER
from llm_gateway_testing.cluster.build import assets
from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.fleet import OWNED, Fleet, gateway, openai, provider, secret
from llm_gateway_testing.kstatus import verdict
from llm_gateway_testing.running_operator import RunningOperator

MARKER = "planted-marker-value"


def versions(cluster: ControlPlane) -> dict[str, object]:
    """What moves when the operator writes something, in all namespaces."""
    listing = ("get", f"llmgateways,llmproviders,events,{OWNED}", "-A", "-o", "json", "--show-managed-fields")
    return {
        f"{each['kind']} {each['metadata']['namespace']}/{each['metadata']['name']}": version(each)
        for each in cluster.kubectl(*listing).json()["items"]
        if each.get("reportingComponent", MANAGER) == MANAGER
    }


def version(obj: dict[str, Any]) -> object:
    metadata = obj["metadata"]
    if obj["kind"] == "HorizontalPodAutoscaler":  # its controller writes its status at any time
        return [each for each in metadata["managedFields"] if each["manager"] == MANAGER]
    return metadata["resourceVersion"]


@pytest.fixture
def settled(fleet: Fleet) -> Fleet:
    scaling = {"minReplicas": 2, "maxReplicas": 4}
    fleet.apply(
        secret("keys", key=MARKER),
        openai("openai", "keys"),
        openai("broken", "gone"),
        provider("mock"),
        gateway(autoscaling=scaling),
    )
    fleet.becomes_ready()
    fleet.says("Ready", "True", "PartiallyReady")
    fleet.says("Available", "True", "MinimumReplicasAvailable")
    return fleet


def test_nothing_is_written_while_nothing_happens_nor_after_a_restart(
    settled: Fleet, operator: RunningOperator, cluster: ControlPlane
) -> None:
    def still() -> bool:
        before = versions(cluster)
        time.sleep(2)
        return versions(cluster) == before

    eventually("all that was going on has ended", still)
    before, written = versions(cluster), operator.writes()
    time.sleep(5)
    assert operator.writes() == written
    operator.stop()
    operator.start()
    eventually("it leads again", lambda: "operator_leading 1.0" in _metrics(operator))
    eventually(
        "it has reconciled", lambda: 'reconciles_total{kind="LLMGateway",result="done"}' in _metrics(operator)
    )
    time.sleep(3)
    assert versions(cluster) == before


def _metrics(operator: RunningOperator) -> str:
    try:
        return operator.get("/metrics")
    except OSError:
        return ""


def test_it_says_how_it_is(settled: Fleet, operator: RunningOperator) -> None:
    assert operator.get("/healthz") == "ok"
    assert operator.get("/readyz") == "ok"
    text = operator.get("/metrics")
    assert "llm_gateway_operator_queue_failing 0.0" in text
    assert "llm_gateway_operator_queue_hot 0.0" in text


def test_no_value_of_a_secret_is_anywhere_but_in_secrets(
    settled: Fleet, cluster: ControlPlane, log: Path
) -> None:
    assert settled.credentials() == {MARKER}
    kinds = "llmgateways,llmproviders,events,configmaps,deployments,services,pods,hpa,pdb,networkpolicies"
    assert MARKER not in cluster.kubectl("get", kinds, "-A", "-o", "yaml", "--show-managed-fields").text()
    assert "leads" in log.read_text()
    assert MARKER not in log.read_text()


@pytest.fixture
def history(cluster: ControlPlane, fleet: Fleet) -> Iterator[list[Any]]:
    """Every state of the namespace's LLMGateway, as a watcher sees it."""
    seen: list[Any] = []
    command = [
        str(assets() / "kubectl"),
        *("get", "llmgateways", f"--namespace={fleet.namespace}", "--watch", "--output=json"),
    ]
    environment = {"KUBECONFIG": str(cluster.admin_kubeconfig), "HOME": str(cluster.folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def read() -> None:
        decoder, text = json.JSONDecoder(), ""
        assert process.stdout is not None
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                obj, end = decoder.raw_decode(text)
                seen.append(obj)
                text = text[end:].lstrip()

    thread = threading.Thread(target=read)
    thread.start()
    yield seen
    process.kill()
    process.wait()
    thread.join()
    assert process.stdout is not None
    process.stdout.close()


def test_no_status_on_the_way_is_taken_for_more_than_it_is(fleet: Fleet, history: list[Any]) -> None:
    time.sleep(1)  # the watch has to be there first
    fleet.apply(gateway())
    fleet.says("Ready", "False", "NoModels")
    fleet.apply(provider("mock"))
    fleet.becomes_ready()
    fleet.apply(gateway(replicas=3))
    fleet.becomes_ready()
    last = fleet.get("llmgateway")
    assert last is not None
    eventually("the watch has seen it all", lambda: history and history[-1]["status"] == last["status"])
    for state in history:
        status = state.get("status") or {}
        conditions = {each["type"]: each for each in status.get("conditions") or ()}
        if status and verdict(state) == "Current":
            assert conditions["Programmed"]["status"] == "True"
            assert conditions["Ready"]["observedGeneration"] == state["metadata"]["generation"]
    verdicts = [verdict(state) for state in history if state.get("status")]
    assert verdicts[0] == "InProgress"
    assert verdicts[-1] == "Current"
    _times_move_with_the_status_alone(history)


def _times_move_with_the_status_alone(history: list[Any]) -> None:
    before: dict[str, tuple[str, str]] = {}
    for state in history:
        said = (state.get("status") or {}).get("conditions") or ()
        now = {each["type"]: (each["status"], each["lastTransitionTime"]) for each in said}
        moved = {kind for kind in now.keys() & before.keys() if now[kind] != before[kind]}
        assert {kind for kind in moved if now[kind][0] == before[kind][0]} == set()
        before = now
