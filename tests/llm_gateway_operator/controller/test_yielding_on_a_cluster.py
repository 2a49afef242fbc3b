"""What others do to the Deployment stays where the LLMGateway is silent, and is undone where it speaks."""

from typing import Any

from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.fleet import Fleet, gateway, provider
from llm_gateway_testing.running_operator import IMAGE

OTHER = "registry.example.com/other:2"


def container(fleet: Fleet) -> Any:
    found = fleet.get("deployment")
    return found["spec"]["template"]["spec"]["containers"][0] if found else {}


def overridden(fleet: Fleet) -> str:
    message: str = fleet.condition("Overridden").get("message", "")
    return message


def disturb(fleet: Fleet) -> None:
    """Makes the operator apply the Deployment anew: a foreign value must outlive that."""
    fleet.patch("deployment", {"spec": {"minReadySeconds": None}})
    eventually("restored", lambda: (fleet.get("deployment") or {})["spec"].get("minReadySeconds") == 10)


def test_the_commands_of_kubectl_work_and_are_named(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    eventually("two pods wanted", lambda: fleet.replicas() == 2)
    assert container(fleet)["image"] == IMAGE
    fleet.kubectl("scale", "deployment", "llm-gateway", "--replicas=5").text()
    fleet.kubectl("set", "image", "deployment/llm-gateway", f"gateway={OTHER}").text()
    fleet.kubectl("set", "env", "deployment/llm-gateway", "LOG_LEVEL=debug").text()
    fleet.kubectl("rollout", "restart", "deployment/llm-gateway").text()
    eventually("both are named", lambda: "replicas" in overridden(fleet) and "image" in overridden(fleet))
    disturb(fleet)
    assert fleet.replicas() == 5
    assert container(fleet)["image"] == OTHER
    assert container(fleet)["env"] == [{"name": "LOG_LEVEL", "value": "debug"}]
    template = (fleet.get("deployment") or {})["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]

    fleet.kubectl("rollout", "undo", "deployment/llm-gateway", "--to-revision=1").text()
    eventually("the first image", lambda: container(fleet)["image"] == IMAGE)

    spoken = {"spec": {"containers": [{"name": "gateway", "image": "registry.example.com/said:3"}]}}
    fleet.apply(gateway(replicas=3, podTemplate=spoken))
    eventually("what the resource says", lambda: fleet.replicas() == 3)
    eventually("and its image", lambda: container(fleet)["image"] == "registry.example.com/said:3")
    eventually("nothing is overridden", lambda: not overridden(fleet))
    fleet.kubectl("scale", "deployment", "llm-gateway", "--replicas=9").text()
    eventually("restored", lambda: fleet.replicas() == 3)


def test_a_default_comes_back_when_it_is_reclaimed(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    eventually("two pods wanted", lambda: fleet.replicas() == 2)
    fleet.kubectl("scale", "deployment", "llm-gateway", "--replicas=5").text()
    eventually("it is named", lambda: overridden(fleet))
    fleet.kubectl("annotate", "deployment", "llm-gateway", "llmgateway.dev/reclaim=spec.replicas").text()
    eventually("the default", lambda: fleet.replicas() == 2)
    eventually("nothing is overridden", lambda: not overridden(fleet))


def test_an_env_of_ours_that_kubectl_changed_keeps_its_entry(fleet: Fleet) -> None:
    """Of `podTemplate` nothing is a default: what kubectl changes there is undone."""
    env = [{"name": "REGION", "value": "eu"}]
    fleet.apply(
        provider("mock"), gateway(podTemplate={"spec": {"containers": [{"name": "gateway", "env": env}]}})
    )
    eventually("its env", lambda: container(fleet).get("env") == env)
    fleet.kubectl("set", "env", "deployment/llm-gateway", "REGION=us").text()
    eventually("undone", lambda: container(fleet).get("env") == env)


def test_autoscaling_on_and_off_never_drops_the_pods(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway(replicas=6))
    eventually("six pods wanted", lambda: fleet.replicas() == 6)
    watch = ("get", "deployment", "llm-gateway", "-o", "jsonpath={.spec.replicas}")
    scaling = {"minReplicas": 4, "maxReplicas": 9}
    seen = set()
    for spec, there in (
        ({"autoscaling": scaling}, True),
        ({"replicas": 5}, False),
        ({"autoscaling": scaling}, True),
    ):
        fleet.apply(gateway(**spec))

        def settled(there: bool = there) -> bool:
            seen.add(fleet.kubectl(*watch).text())
            return ("HorizontalPodAutoscaler llm-gateway" in fleet.names()) is there

        eventually(f"autoscaler {there}", settled)
    seen.add(fleet.kubectl(*watch).text())
    assert seen <= {"6", "5"}
    managers = [
        each["manager"]
        for each in (fleet.get("deployment") or {})["metadata"]["managedFields"]
        if "f:replicas" in each["fieldsV1"].get("f:spec", {})
    ]
    assert managers == ["llm-gateway-operator-replicas-handover"]


def test_a_new_fleet_that_scales_itself_begins_at_its_least(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway(autoscaling={"minReplicas": 4, "maxReplicas": 9}))
    eventually("a number of pods", lambda: fleet.replicas())
    assert fleet.replicas() == 4


def test_what_is_taken_away_or_changed_comes_back(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway(service={"type": "NodePort"}))
    eventually("the last child", lambda: "NetworkPolicy llm-gateway" in fleet.names())
    fleet.kubectl("delete", "service", "llm-gateway").text()
    eventually("it is back", lambda: "Service llm-gateway" in fleet.names())
    fleet.patch("configmap", {"data": {"gateway.yaml": "broken"}}, "llm-gateway-config")
    eventually("the document is back", lambda: isinstance(fleet.document(), dict) and fleet.providers())
    fleet.patch(
        "configmap", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, "llm-gateway-config"
    )
    eventually(
        "the label is back",
        lambda: (
            "app.kubernetes.io/managed-by"
            in (fleet.get("configmap", "llm-gateway-config") or {})["metadata"]["labels"]
        ),
    )
