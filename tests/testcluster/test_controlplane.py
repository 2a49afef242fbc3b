"""What a test may rely on: the control plane behaves as any cluster's does, and comes and goes without a trace."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llm_gateway_testing.cluster import build
from llm_gateway_testing.cluster.controlplane import ControlPlane
from llm_gateway_testing.cluster.errors import ClusterUnavailable
from llm_gateway_testing.cluster.kubectl import Output
from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.cluster.probe import answers

SUPPORT = Path(build.__file__).parents[2]

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: test.invalid/web:1}]}
"""

PODS_READY = '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'

READER = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"""


def widget(low: int, high: int) -> str:
    return f"""
apiVersion: test.example.com/v1
kind: Widget
metadata: {{name: one}}
spec: {{min: {low}, max: {high}}}
"""


def config_map(name: str, data: str, metadata: str = "") -> str:
    return f"""
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
{metadata}
data: {data}
"""


def apply(cluster: ControlPlane, namespace: str, text: str, *options: str) -> Output:
    return cluster.kubectl(
        "apply", "--server-side", f"--namespace={namespace}", *options, "-f", "-", stdin=text
    )


REFUSED = {
    "a rule over two fields": (widget(5, 1), "spec.min: Invalid value", "min is above max"),
    "a rule over the old object and the new": (widget(1, 2), "spec.max: Invalid value", "max may not shrink"),
    "the schema": (widget(1, 9).replace("min: 1", "min: low"), ".spec.min", "expected numeric"),
}


@pytest.mark.parametrize(("text", "field", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_object_is_refused_by(
    cluster: ControlPlane, namespace: str, text: str, field: str, message: str
) -> None:
    apply(cluster, namespace, widget(1, 5)).text()
    refused = apply(cluster, namespace, text)
    assert not refused.ok
    assert field in refused.failure
    assert message in refused.failure


def test_a_good_custom_object_is_stored_with_its_defaults(cluster: ControlPlane, namespace: str) -> None:
    apply(cluster, namespace, widget(1, 5)).text()
    stored = cluster.kubectl("get", "widget", "one", f"--namespace={namespace}", "-o", "json").json()
    assert stored["spec"] == {"min": 1, "max": 5, "step": 1}


def test_two_managers_share_an_object_and_conflict_over_a_field(
    cluster: ControlPlane, namespace: str
) -> None:
    ours, theirs = "--field-manager=ours", "--field-manager=theirs"
    apply(cluster, namespace, config_map("shared", "{a: '1'}"), ours).text()
    apply(cluster, namespace, config_map("shared", "{b: '2'}"), theirs).text()
    conflict = apply(cluster, namespace, config_map("shared", "{a: '3'}"), theirs)
    assert not conflict.ok
    assert 'conflict with "ours"' in conflict.failure
    apply(cluster, namespace, config_map("shared", "{a: '3'}"), theirs, "--force-conflicts").text()
    apply(
        cluster, namespace, config_map("shared", "{}"), ours
    ).text()  # gives up `a`, which is no more its own
    stored = cluster.kubectl("get", "configmap", "shared", f"--namespace={namespace}", "-o", "json").json()
    assert stored["data"] == {"a": "3"}  # `b` went: its manager applied without it


def test_a_deployment_is_available_once_its_pods_are_said_to_run(
    cluster: ControlPlane, namespace: str
) -> None:
    inside = f"--namespace={namespace}"
    apply(cluster, namespace, DEPLOYMENT).text()
    pods = eventually("two pods", lambda: two_pods(cluster, namespace))
    owners = cluster.kubectl(
        "get", *pods, inside, "-o", "jsonpath={.items[*].metadata.ownerReferences[*].kind}"
    )
    assert owners.text().split() == ["ReplicaSet", "ReplicaSet"]
    for pod in pods:
        cluster.kubectl("patch", pod, inside, "--subresource=status", "-p", PODS_READY).text()
    cluster.kubectl("rollout", "status", "deployment/web", inside, "--timeout=60s").text()


def two_pods(cluster: ControlPlane, namespace: str) -> list[str] | None:
    pods = cluster.kubectl("get", "pods", f"--namespace={namespace}", "-o", "name").text().split()
    return pods if len(pods) == 2 else None


def test_what_a_deleted_object_owns_is_collected(cluster: ControlPlane, namespace: str) -> None:
    inside = f"--namespace={namespace}"
    apply(cluster, namespace, widget(1, 5)).text()
    uid = cluster.kubectl("get", "widget", "one", inside, "-o", "jsonpath={.metadata.uid}").text()
    owner = f"  ownerReferences: [{{apiVersion: test.example.com/v1, kind: Widget, name: one, uid: {uid}}}]"
    apply(cluster, namespace, config_map("owned", "{}", owner)).text()
    apply(cluster, namespace, config_map("free", "{}")).text()
    cluster.kubectl("delete", "widget", "one", inside).text()
    eventually("the owned one is gone", lambda: "configmap/owned" not in names(cluster, namespace))
    assert "configmap/free" in names(cluster, namespace)


def names(cluster: ControlPlane, namespace: str) -> list[str]:
    return cluster.kubectl("get", "configmaps", f"--namespace={namespace}", "-o", "name").text().split()


def test_a_service_account_may_do_what_its_role_says_and_no_more(
    cluster: ControlPlane, namespace: str
) -> None:
    cluster.kubectl("apply", f"--namespace={namespace}", "-f", "-", stdin=READER).text()
    reader = cluster.kubeconfig_for(cluster.token_for(namespace, "reader"))
    cluster.kubectl("get", "configmaps", f"--namespace={namespace}", as_kubeconfig=reader).text()
    for refused in (
        ("get", "secrets", f"--namespace={namespace}"),
        ("get", "configmaps", "--namespace=default"),
    ):
        output = cluster.kubectl(*refused, as_kubeconfig=reader)
        assert f'User "system:serviceaccount:{namespace}:reader" cannot list resource' in output.failure


def test_a_token_that_nobody_signed_is_nobody(cluster: ControlPlane) -> None:
    forged = cluster.kubeconfig_for("a.forged.token")
    assert "Unauthorized" in cluster.kubectl("get", "namespaces", as_kubeconfig=forged).failure


def test_an_account_that_does_not_exist_gets_no_token(cluster: ControlPlane) -> None:
    with pytest.raises(AssertionError, match='serviceaccounts "absent" not found'):
        cluster.token_for("default", "absent")


def test_the_api_server_goes_and_comes_back_with_all_it_knew(cluster: ControlPlane, namespace: str) -> None:
    apply(cluster, namespace, config_map("kept", "{a: '1'}")).text()
    before = cluster.server
    cluster.stop_apiserver()
    try:
        assert "was refused" in cluster.kubectl("get", "namespaces").failure
    finally:
        cluster.start_apiserver()
    assert cluster.server == before
    assert "configmap/kept" in names(cluster, namespace)
    # The controller manager reconnects by itself.
    apply(cluster, namespace, DEPLOYMENT).text()
    eventually("two pods", lambda: two_pods(cluster, namespace))


def test_a_paused_api_server_hangs_and_goes_on(cluster: ControlPlane, namespace: str) -> None:
    get = ("get", "namespace", namespace, "--request-timeout=1s")
    cluster.pause_apiserver()
    try:
        paused = cluster.kubectl(*get)
    finally:
        cluster.resume_apiserver()
    assert not paused.ok
    assert "refused" not in paused.failure
    cluster.kubectl(*get[:-1]).text()


def test_without_a_controller_manager_nothing_is_rolled_out() -> None:
    with ControlPlane(parts=("apiserver",)) as bare:
        bare.kubectl("apply", "-f", "-", stdin=DEPLOYMENT).text()
        # That nothing comes cannot be waited for: no program runs that could make it.
        assert sorted(programs_of(bare.folder)) == ["etcd", "kube-apiserver"]
        assert "--- apiserver" in bare.logs()


def test_two_at_once_know_nothing_of_each_other(cluster: ControlPlane, namespace: str) -> None:
    with ControlPlane(parts=("apiserver",)) as other:
        assert f'namespaces "{namespace}" not found' in other.kubectl("get", "namespace", namespace).failure
    cluster.kubectl("get", "namespace", namespace).text()


def test_it_leaves_no_process_and_no_file() -> None:
    with ControlPlane(parts=("apiserver",)) as gone:
        folder = gone.folder
        assert sorted(programs_of(folder)) == ["etcd", "kube-apiserver"]
    assert programs_of(folder) == []
    assert not folder.exists()
    assert not answers(f"{gone.server}/readyz")


def test_an_error_inside_carries_the_logs() -> None:
    with pytest.raises(ZeroDivisionError) as caught, ControlPlane(parts=("apiserver",)):
        raise ZeroDivisionError
    assert "--- apiserver" in caught.value.__notes__[0]


OWNER = """
import signal
from llm_gateway_testing.cluster.controlplane import ControlPlane
with ControlPlane(parts=("apiserver",)) as cluster:
    print(cluster.folder, flush=True)
    signal.pause()
"""


def test_its_processes_die_with_an_owner_that_was_killed() -> None:
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, env=environment
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        running = programs_of(folder)
        owner.send_signal(signal.SIGKILL)
    assert sorted(running) == ["etcd", "kube-apiserver"]
    eventually("they are gone", lambda: programs_of(folder) == [])
    with ControlPlane(parts=("apiserver",)):  # the next one clears up
        assert not folder.exists()


def programs_of(folder: Path) -> list[str]:
    """The names of the running programs that were told of `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended just now
            continue
        if any(bytes(folder) in argument for argument in command[1:]):
            found.append(Path(os.fsdecode(command[0])).name)
    return found


def test_a_folder_without_the_programs_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ClusterUnavailable, match="has no etcd, kubectl, kube-apiserver"),
        ControlPlane(parts=("apiserver",), assets=tmp_path),
    ):
        raise AssertionError("there is nothing to start")
