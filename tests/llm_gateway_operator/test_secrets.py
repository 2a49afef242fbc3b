"""Where the value behind a reference to a Secret is found."""

import base64
from collections.abc import Mapping

import pytest

from llm_gateway_operator.api.common import SecretRef
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.secret import Secret
from llm_gateway_operator.objects import Found, Key, Source
from llm_gateway_operator.secrets import LocalSecrets, Missing, Value

REF = SecretRef(name="llm-gateway-secrets", key="openai-api-key")
SAME_KEY_ELSEWHERE = SecretRef(name="team.b", key="openai-api-key")
SAME_VARIABLE = SecretRef(name="team.b", key="OPENAI_API.KEY")


def secret(**fields: object) -> Mapping[Key, Found[Secret]]:
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": REF.name, "namespace": "llm"}}
    value = Secret.model_validate(document | fields)
    return {Key("llm", REF.name): Found(value, Source("s.yaml", 3, {}))}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FOUND: dict[
    str, tuple[Mapping[Key, Found[Secret]], Mapping[str, str], tuple[SecretRef, ...], tuple[str, str]]
] = {
    "stringData": (
        secret(stringData={REF.key: "sk-1"}),
        {},
        (REF,),
        ("sk-1", "Secret llm-gateway-secrets at s.yaml:3"),
    ),
    "data": (
        secret(data={REF.key: encoded("sk-2")}),
        {},
        (REF,),
        ("sk-2", "Secret llm-gateway-secrets at s.yaml:3"),
    ),
    "base64 in lines, of a file that ends with a line break": (
        secret(
            data={
                REF.key: encoded("sk-" + "x" * 80 + "\n")[:76] + "\n" + encoded("sk-" + "x" * 80 + "\n")[76:]
            }
        ),
        {},
        (REF,),
        ("sk-" + "x" * 80, "Secret llm-gateway-secrets at s.yaml:3"),
    ),
    "stringData before data": (
        secret(data={REF.key: encoded("old")}, stringData={REF.key: "new"}),
        {},
        (REF,),
        ("new", "Secret llm-gateway-secrets at s.yaml:3"),
    ),
    "the folder before the environment": (
        secret(stringData={REF.key: "folder"}),
        {"OPENAI_API_KEY": "environment"},
        (REF,),
        ("folder", "Secret llm-gateway-secrets at s.yaml:3"),
    ),
    "the environment, without a Secret object": (
        {},
        {"OPENAI_API_KEY": "sk-3\n"},
        (REF,),
        ("sk-3", "$OPENAI_API_KEY"),
    ),
    "the environment, for a key that the Secret object has not": (
        secret(stringData={"other": "x"}),
        {"OPENAI_API_KEY": "sk-3"},
        (REF,),
        ("sk-3", "$OPENAI_API_KEY"),
    ),
    "a key that two Secrets have, by the longer name": (
        {},
        {"OPENAI_API_KEY": "whose?", "LLM_GATEWAY_SECRETS_OPENAI_API_KEY": "sk-4"},
        (REF, SAME_KEY_ELSEWHERE),
        ("sk-4", "$LLM_GATEWAY_SECRETS_OPENAI_API_KEY"),
    ),
    "two keys that would share a variable, by the longer name": (
        {},
        {"OPENAI_API_KEY": "whose?", "LLM_GATEWAY_SECRETS_OPENAI_API_KEY": "sk-5"},
        (REF, SAME_VARIABLE),
        ("sk-5", "$LLM_GATEWAY_SECRETS_OPENAI_API_KEY"),
    ),
    "one Secret that two providers refer to": (
        {},
        {"OPENAI_API_KEY": "sk-6"},
        (REF, REF),
        ("sk-6", "$OPENAI_API_KEY"),
    ),
}


@pytest.mark.parametrize(("folder", "env", "references", "expected"), FOUND.values(), ids=FOUND)
def test_found(
    folder: Mapping[Key, Found[Secret]],
    env: Mapping[str, str],
    references: tuple[SecretRef, ...],
    expected: tuple[str, str],
) -> None:
    answer = LocalSecrets(folder, env, references).find("llm", REF)
    assert isinstance(answer, Value)
    assert (answer.secret.reveal(), answer.origin) == expected


MISSING: dict[str, tuple[Mapping[Key, Found[Secret]], Mapping[str, str], str, Reason]] = {
    "nowhere": (
        {},
        {},
        "no Secret llm/llm-gateway-secrets (key openai-api-key) in the folder, "
        "and the environment variable OPENAI_API_KEY is not set",
        Reason.SECRET_NOT_FOUND,
    ),
    "an empty variable": (
        {},
        {"OPENAI_API_KEY": ""},
        "no Secret llm/llm-gateway-secrets (key openai-api-key) in the folder, "
        "and the environment variable OPENAI_API_KEY is not set",
        Reason.SECRET_NOT_FOUND,
    ),
    "an empty value": (
        secret(stringData={REF.key: ""}),
        {},
        "Secret llm/llm-gateway-secrets, key openai-api-key: must not be empty",
        Reason.CREDENTIAL_MISSING,
    ),
    "a value with a line break inside": (
        {},
        {"OPENAI_API_KEY": "sk-1\r\nX-Evil: 1"},
        "Secret llm/llm-gateway-secrets, key openai-api-key, environment variable OPENAI_API_KEY: "
        "must be printable ASCII without line breaks or outer spaces, to be sent as a header",
        Reason.CREDENTIAL_MISSING,
    ),
    "not base64": (
        secret(data={REF.key: "sk-1"}),
        {"OPENAI_API_KEY": "sk-1"},
        "Secret llm/llm-gateway-secrets, key openai-api-key (s.yaml:3): "
        "is not base64 of UTF-8 text (plain text goes under stringData)",
        Reason.CREDENTIAL_MISSING,
    ),
    "another key": (
        secret(stringData={"other": "sk-1"}),
        {},
        "Secret llm/llm-gateway-secrets at s.yaml:3 has no key openai-api-key (its keys: other), "
        "and the environment variable OPENAI_API_KEY is not set",
        Reason.SECRET_KEY_NOT_FOUND,
    ),
    "a Secret of Kubernetes' own": (
        secret(type="kubernetes.io/service-account-token", stringData={REF.key: "token"}),
        {},
        "Secret llm/llm-gateway-secrets has the type kubernetes.io/service-account-token, which is no provider's",
        Reason.REF_NOT_PERMITTED,
    ),
}


@pytest.mark.parametrize(("folder", "env", "message", "reason"), MISSING.values(), ids=MISSING)
def test_missing(
    folder: Mapping[Key, Found[Secret]], env: Mapping[str, str], message: str, reason: Reason
) -> None:
    assert LocalSecrets(folder, env, [REF]).find("llm", REF) == Missing(message, reason)


def test_a_secret_of_another_namespace_does_not_count() -> None:
    answer = LocalSecrets(secret(stringData={REF.key: "sk-1"}), {}, [REF]).find("other", REF)
    assert isinstance(answer, Missing)


def test_the_text_of_a_secret_object_has_no_value_in_it() -> None:
    found = secret(stringData={REF.key: "hunter2"}, data={"b": encoded("hunter3")})[Key("llm", REF.name)]
    for text in (repr(found), str(found.value), f"{found.value}"):
        assert "hunter2" not in text
        assert encoded("hunter3") not in text
        assert "openai-api-key" in text
