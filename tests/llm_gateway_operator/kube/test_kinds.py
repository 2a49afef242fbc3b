import pytest

from llm_gateway_operator.kube.kinds import ALL, DEPLOYMENT, GATEWAY, NAMESPACE, SECRET, Kind, kind_of

PATHS = {
    "a list of a core kind in a namespace": (SECRET, ("a",), "/api/v1/namespaces/a/secrets"),
    "a list everywhere": (DEPLOYMENT, (None,), "/apis/apps/v1/deployments"),
    "an object": (SECRET, ("a", "b"), "/api/v1/namespaces/a/secrets/b"),
    "an object without a namespace": (NAMESPACE, (None, "b"), "/api/v1/namespaces/b"),
    "a status": (
        GATEWAY,
        ("a", "b", "status"),
        "/apis/llmgateway.dev/v1alpha1/namespaces/a/llmgateways/b/status",
    ),
    "a name that tries to leave its place": (
        SECRET,
        ("a", "../../x?y"),
        "/api/v1/namespaces/a/secrets/..%2F..%2Fx%3Fy",
    ),
}


@pytest.mark.parametrize(("kind", "arguments", "path"), PATHS.values(), ids=PATHS.keys())
def test_the_path_of(kind: Kind, arguments: tuple[str | None, ...], path: str) -> None:
    assert kind.path(*arguments) == path


def test_each_object_finds_its_kind_again() -> None:
    for kind in ALL:
        assert kind_of({"apiVersion": kind.api_version, "kind": kind.kind}) == kind
    assert len(set(ALL)) == len(ALL)


def test_a_kind_that_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        kind_of({"apiVersion": "apps/v1beta1", "kind": "Deployment"})
