"""The elector with a real API server, under the rights that a role of its own gives."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from llm_gateway_operator.kube.client import Client, connected
from llm_gateway_operator.kube.errors import NotLeading
from llm_gateway_operator.kube.kinds import CONFIG_MAP, LEASE
from llm_gateway_operator.kube.lease import Elector, Place, Terms
from llm_gateway_testing.cluster.controlplane import ControlPlane

SHORT = Terms(duration=3, renew_within=2.0, retry=0.3)


def elector(client: Client, namespace: str, identity: str, lost: list[str]) -> Elector:
    return Elector(client, Place(namespace, "operator", identity), SHORT, lost.append)


async def test_one_leads_and_the_other_follows_when_it_hands_back(
    cluster: ControlPlane, namespace: str
) -> None:
    inside = f"--namespace={namespace}"
    cluster.kubectl("create", "serviceaccount", "op", inside).text()
    rights = ("--verb=get,create,update", "--resource=leases.coordination.k8s.io")
    cluster.kubectl("create", "role", "op", *rights, inside).text()
    cluster.kubectl(
        "create", "rolebinding", "op", "--role=op", f"--serviceaccount={namespace}:op", inside
    ).text()
    lost: list[str] = []
    async with connected(cluster.kubeconfig_for(cluster.token_for(namespace, "op"))) as client:
        one, two = elector(client, namespace, "one", lost), elector(client, namespace, "two", lost)
        async with asyncio.timeout(60):
            await one.acquire()
            holding = asyncio.create_task(one.hold())
            waiting = asyncio.create_task(two.acquire())
            await asyncio.sleep(4)  # longer than the Lease lasts
            assert (one.leading(), two.leading(), waiting.done()) == (True, False, False)
            holding.cancel()
            await one.release()
            await waiting
        assert (one.leading(), two.leading(), lost) == (False, True, [])
        lease = await client.get(LEASE, namespace, "operator")
        assert lease is not None
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two", 1)
        await two.release()


async def test_a_leader_that_dies_is_followed(client: Client, namespace: str) -> None:
    lost: list[str] = []
    one, two = elector(client, namespace, "one", lost), elector(client, namespace, "two", lost)
    async with asyncio.timeout(60):
        await one.acquire()
        await two.acquire()
    assert (one.leading(), two.leading()) == (False, True)
    await one.release()
    assert two.leading()
    await two.release()


async def test_a_fenced_client_writes_only_while_it_leads(client: Client, namespace: str) -> None:
    one = elector(client, namespace, "one", [])
    fenced = client.fenced(one.leading)
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "c"}}
    with pytest.raises(NotLeading):
        await fenced.apply(obj, "ours")
    assert await fenced.get(CONFIG_MAP, namespace, "c") is None
    await one.acquire()
    await fenced.apply(obj, "ours")
    await one.release()
    with pytest.raises(NotLeading):
        await fenced.apply(obj, "ours")


PROCESS = """
import asyncio, sys
from pathlib import Path
from llm_gateway_operator.kube.client import connected
from llm_gateway_operator.kube.lease import Elector, Place, Terms

async def main():
    async with connected(Path(sys.argv[1])) as client:
        elector = Elector(client, Place(sys.argv[2], "operator", "one"), Terms(3, 2.0, 0.3))
        await elector.acquire()
        print("leading", flush=True)
        await elector.hold()
        print("still here", flush=True)

asyncio.run(main())
"""


def test_a_process_whose_server_hangs_ends_at_once(cluster: ControlPlane, namespace: str) -> None:
    arguments = [sys.executable, "-c", PROCESS, str(cluster.admin_kubeconfig), namespace]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leading\n"
        cluster.pause_apiserver()
        try:
            began = time.monotonic()
            assert process.wait(timeout=60) == 1
            assert time.monotonic() - began < 30
        finally:
            cluster.resume_apiserver()
            process.kill()
        assert process.stdout.read() == ""
