"""What the Secrets of a cluster answer, and which of them are read."""

import base64
from typing import Any

import pytest

from llm_gateway_operator.admit import admit_provider
from llm_gateway_operator.api.common import SecretRef
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.kube.errors import Unreachable
from llm_gateway_operator.kube.kinds import Json, Kind
from llm_gateway_operator.live_secrets import read_secrets
from llm_gateway_operator.secrets import Missing, Value


class Cluster:
    def __init__(self, *secrets: Json) -> None:
        self.asked: list[str] = []
        self._secrets = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in secrets}

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        self.asked.append(f"{kind} {namespace}/{name}")
        return self._secrets.get((namespace or "", name))


def secret(data: dict[str, str] | None, **more: Any) -> Json:
    metadata = {"namespace": "team", "name": "keys", "uid": "u", "resourceVersion": "7", "managedFields": []}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "immutable": True,
        "type": "Opaque",
        "data": data,
        **more,
    }


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def provider(name: str, auth: Any = None) -> LLMProvider:
    spec = {
        "type": "OpenAI",
        "auth": auth or {"secretRef": {"name": "keys", "key": "a"}},
        "models": [{"name": "m"}],
    }
    metadata = {"name": name, "namespace": "team"}
    found = admit_provider(
        {"apiVersion": "llmgateway.dev/v1alpha1", "kind": "LLMProvider", "metadata": metadata, "spec": spec}
    ).found
    assert found is not None
    return found.value


CASES: dict[str, tuple[list[Json], str]] = {
    "a value": ([secret({"a": encoded(b"sk-1")})], "sk-1"),
    "a value with a line break at its end": ([secret({"a": encoded(b"sk-1\n")})], "sk-1"),
    "no Secret": ([], "SecretNotFound"),
    "no such key": ([secret({"planted-name": encoded(b"x")})], "SecretKeyNotFound"),
    "an empty Secret": ([secret(None)], "SecretKeyNotFound"),
    "no text": ([secret({"a": encoded(b"\xff\xfe")})], "CredentialMissing"),
    "a value that is no header": ([secret({"a": encoded(b"planted\nvalue")})], "CredentialMissing"),
    "a token of the cluster": (
        [secret({"a": encoded(b"planted")}, type="kubernetes.io/service-account-token")],
        "RefNotPermitted",
    ),
}


@pytest.mark.parametrize(("there", "expected"), CASES.values(), ids=CASES.keys())
async def test_a_reference_finds(there: list[Json], expected: str) -> None:
    secrets = await read_secrets(Cluster(*there), [provider("one")])
    answer = secrets.find("team", SecretRef(name="keys", key="a"))
    if isinstance(answer, Value):
        assert answer.secret.reveal() == expected
    else:
        assert answer.reason == expected
        assert "planted" not in answer.message


async def test_each_secret_is_read_once_and_no_other() -> None:
    cluster = Cluster(
        secret({"a": encoded(b"sk-1")}), {**secret({}), "metadata": {"namespace": "b", "name": "x"}}
    )
    await read_secrets(cluster, [provider("one"), provider("two"), provider("three", {"type": "None"})])
    assert cluster.asked == ["secrets team/keys"]


async def test_an_uncertain_answer_is_no_absence() -> None:
    class Away(Cluster):
        async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
            raise Unreachable("no answer")

    with pytest.raises(Unreachable):
        await read_secrets(Away(), [provider("one")])


async def test_a_key_bound_to_hosts_says_which() -> None:
    bound = secret({"a": encoded(b"sk-1")})
    bound["metadata"]["annotations"] = {"llmgateway.dev/allowed-hosts": "api.openai.com"}
    answer = (await read_secrets(Cluster(bound), [provider("one")])).find(
        "team", SecretRef(name="keys", key="a")
    )
    assert not isinstance(answer, Missing)
    assert answer.hosts == frozenset({"api.openai.com"})
