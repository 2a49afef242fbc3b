"""A secret shows itself nowhere but in `reveal()`."""

import copy
import json
import logging
import pickle
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from llm_gateway_config.problems import sentences
from llm_gateway_config.secret import Credential, Secret

VALUE = "sk-0123456789"


class Holder(BaseModel):
    key: Secret | None = None
    credential: Credential | None = None


SHOWINGS = {
    "str": lambda secret: str(secret),
    "repr": lambda secret: repr(secret),
    "format": lambda secret: f"{secret:>20}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "in a list": lambda secret: repr([secret]),
    "in a model": lambda secret: repr(Holder(key=secret)) + str(Holder(key=secret)),
    "dumped": lambda secret: repr(Holder(key=secret).model_dump()),
    "dumped as JSON": lambda secret: Holder(key=secret).model_dump_json(),
    "in an exception": lambda secret: repr(ValueError(secret)),
    "as a log argument": lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
    "the fingerprint": lambda secret: "*** " + secret.fingerprint(),
}


@pytest.mark.parametrize("kind", [Secret, Credential])
@pytest.mark.parametrize("showing", SHOWINGS.values(), ids=SHOWINGS)
def test_a_secret_prints_stars(showing: Any, kind: type[Secret]) -> None:
    shown = showing(kind(VALUE))
    assert VALUE not in shown
    assert "***" in shown


def test_a_secret_reveals_its_value_and_tells_values_apart() -> None:
    assert Secret(VALUE).reveal() == VALUE
    assert Secret(VALUE) == Secret(VALUE)
    assert hash(Secret(VALUE)) == hash(Secret(VALUE))
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert Secret(VALUE).fingerprint() == "5c85b6dd"
    assert Secret(VALUE).fingerprint() != Secret("other").fingerprint()


def test_a_secret_does_not_change() -> None:
    secret = Secret(VALUE)
    with pytest.raises(AttributeError):
        secret._value = "other"
    with pytest.raises(AttributeError):
        del secret._value
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret


def test_a_secret_goes_into_no_pickle_and_no_json() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(VALUE))
    with pytest.raises(TypeError):
        json.dumps({"key": Secret(VALUE)})


BAD_VALUES = {
    "a number for a secret": ({"key": 123456789}, "key: must be text, is a number: quote it"),
    "a map for a secret": ({"key": {"value": VALUE}}, "key: must be text, is a map"),
    "a list for a credential": (
        {"credential": [VALUE]},
        "credential: must be text or {file: PATH}, is a list",
    ),
    "another map for a credential": (
        {"credential": {"value": VALUE}},
        "credential: must be text or {file: PATH}, is a map",
    ),
    "a line break in a credential": (
        {"credential": VALUE + "\nx"},
        "credential: must be printable ASCII without line breaks or outer spaces, to be sent as a header",
    ),
    "an empty credential": ({"credential": ""}, "credential: must not be empty"),
}


@pytest.mark.parametrize(("data", "message"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_an_error_about_a_secret_does_not_repeat_it(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate(data)
    assert [str(problem) for problem in sentences(caught.value, {}, None)] == [message]


def test_a_credential_keeps_the_file_it_came_from() -> None:
    read = Credential(VALUE, "keys/openai")
    assert Holder(credential=read).model_dump(exclude_none=True) == {"credential": {"file": "keys/openai"}}
    assert Holder(credential=Credential(VALUE)).model_dump(exclude_none=True) == {"credential": "***"}
    assert read == Credential(VALUE)


def test_a_credential_that_was_not_read_cannot_be_revealed() -> None:
    holder = Holder.model_validate({"credential": {"file": "keys/openai"}})
    assert holder.credential is not None
    assert holder.credential.file == "keys/openai"
    with pytest.raises(ValueError, match="was not read"):
        holder.credential.reveal()
