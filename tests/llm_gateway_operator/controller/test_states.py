"""What an LLMGateway says when it cannot, or shall not, go on."""

import json

from llm_gateway_testing.cluster.poll import eventually
from llm_gateway_testing.fleet import Fleet, gateway, provider
from llm_gateway_testing.kstatus import verdict


def judged(fleet: Fleet) -> str:
    return verdict(fleet.get("llmgateway") or {})


def test_suspended_it_changes_nothing_and_says_so(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    fleet.becomes_ready()
    fleet.apply(gateway(suspend=True, replicas=7))
    fleet.says("Suspended", "True", "Suspended")
    fleet.apply(provider("mock", models=[{"name": "other"}]))
    fleet.apply(gateway(suspend=True, replicas=8))
    fleet.says("Suspended", "True", "Suspended")
    assert fleet.replicas() == 2
    assert fleet.document()["providers"]["mock"]["models"] == ["echo"]
    # Ready is still about the generation that pods have confirmed.
    assert not fleet.condition("Ready")
    fleet.apply(gateway(replicas=3))
    eventually("it goes on", lambda: fleet.replicas() == 3)
    eventually(
        "the change is made up for", lambda: fleet.document()["providers"]["mock"]["models"] == ["other"]
    )
    fleet.becomes_ready()
    assert not fleet.condition("Suspended")


def test_an_object_of_others_is_never_taken_over(fleet: Fleet) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "llm-gateway-config"},
        "data": {"a": "b"},
    }
    fleet.kubectl("create", "-f", "-", stdin=json.dumps(theirs)).text()
    fleet.apply(provider("mock"), gateway())
    said = fleet.says("Stalled", "True", "NameConflict")
    assert "ConfigMap llm-gateway-config" in said["message"]
    fleet.says("Ready", "False", "NameConflict")
    assert judged(fleet) == "Failed"
    assert fleet.names() == set()
    assert (fleet.get("configmap", "llm-gateway-config") or {})["data"] == {"a": "b"}


def test_a_gateway_of_a_deleted_one_s_name_gets_objects_of_its_own(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    eventually("the last child", lambda: "NetworkPolicy llm-gateway" in fleet.names())
    fleet.kubectl("delete", "llmgateway", "llm-gateway").text()
    fleet.apply(gateway())
    uid = (fleet.get("llmgateway") or {})["metadata"]["uid"]

    def owners() -> set[str]:
        return {each["metadata"]["ownerReferences"][0]["uid"] for each in fleet.owned()}

    eventually("seven new ones", lambda: len(fleet.owned()) == 7 and owners() == {uid})
    assert not fleet.condition("Stalled")


def test_what_the_api_server_refuses_is_a_condition(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    fleet.becomes_ready()
    container = {"name": "gateway", "resources": {"requests": {"cpu": "4"}, "limits": {"cpu": "1"}}}
    fleet.apply(gateway(podTemplate={"spec": {"containers": [container]}}))
    said = fleet.says("Accepted", "False", "InvalidPodTemplate")
    assert "spec.podTemplate" in said["message"]
    fleet.says("Stalled", "True", "Invalid")
    assert judged(fleet) == "Failed"
    fleet.apply(provider("second"))
    eventually("the rest is published", lambda: fleet.providers() == {"mock", "second"})
    unknown = {"name": "gateway", "imaeg": "x"}
    fleet.apply(gateway(podTemplate={"spec": {"containers": [unknown]}}))
    assert "imaeg" in fleet.says("Accepted", "False", "InvalidPodTemplate")["message"]
    fleet.apply(gateway(replicas=2))
    fleet.becomes_ready()
    assert judged(fleet) == "Current"


def test_a_document_too_large_for_one_object_is_said_and_nothing_is_changed(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    eventually("the first provider", lambda: fleet.providers() == {"mock"})
    name = "m" * 200
    for number in range(11):
        models = [{"name": f"{name}-{index}", "upstreamModel": f"{name}-{index}"} for index in range(250)]
        fleet.apply(provider(f"large-{number}", models=models))
    said = fleet.says("Accepted", "False", "Invalid")
    assert "holds at most 1048576" in said["message"]
    fleet.says("Stalled", "True", "Invalid")
    assert "mock" in fleet.providers()
    for number in range(11):
        fleet.kubectl("delete", "llmprovider", f"large-{number}").text()
    fleet.says("Accepted", "True", "Accepted")
    eventually("what fits", lambda: fleet.providers() == {"mock"})


def test_two_things_of_one_name_are_told_and_the_rest_is_served(fleet: Fleet) -> None:
    refs = [{"name": "mock", "from": {"namespace": "elsewhere", "name": "x"}}]
    fleet.apply(provider("mock"), gateway(providers={"selector": {}, "refs": refs}))
    fleet.says("Accepted", "False", "Invalid")
    assert fleet.providers() == {"mock"}


def test_events_tell_transitions_once(fleet: Fleet) -> None:
    fleet.apply(provider("mock"), gateway())
    fleet.becomes_ready()
    refs = [{"name": "gone"}]
    fleet.apply(gateway(providers={"refs": refs}))
    fleet.says("ResolvedRefs", "False", "ProviderNotFound")

    def events() -> list[tuple[str, str, int]]:
        items = fleet.kubectl(
            "get", "events", "--field-selector=involvedObject.kind=LLMGateway", "-o", "json"
        ).json()["items"]
        return sorted((each["type"], each["reason"], each["count"]) for each in items)

    expected = [("Normal", "Published", 1), ("Normal", "Published", 1), ("Normal", "Ready", 1)]
    eventually(
        "the events",
        lambda: (
            [each for each in events() if each[1] != "Programmed"]
            == [*expected, ("Warning", "ProviderNotFound", 1)]
        ),
    )


def test_what_the_api_server_will_not_do_for_now_is_said_and_tried_again(fleet: Fleet) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/services": "0"}},
    }
    fleet.apply(quota)
    eventually(
        "the quota counts",
        lambda: ((fleet.get("resourcequota", "none") or {}).get("status") or {}).get("hard"),
    )
    fleet.apply(provider("mock"), gateway())
    said = fleet.says("Reconciling", "True", "Progressing")
    eventually("the reason", lambda: "exceeded quota" in fleet.condition("Ready").get("message", ""))
    assert judged(fleet) == "InProgress", said
    assert fleet.providers() == {"mock"}
    fleet.kubectl("delete", "resourcequota", "none").text()
    fleet.becomes_ready()
    assert judged(fleet) == "Current"
