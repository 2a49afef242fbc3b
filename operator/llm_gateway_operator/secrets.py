"""Where `local` finds the value behind a reference to a Secret: first in the folder, then in the environment.

A Secret object of the folder wins. The environment is asked for `OPENAI_API_KEY` for the key
`openai-api-key`, as long as only one referenced Secret has a key of that name; else for
`LLM_GATEWAY_SECRETS_OPENAI_API_KEY`, so that two Secrets never share a variable by accident.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from llm_gateway_config.secret import Secret, credential_fault
from llm_gateway_operator.api import secret as api
from llm_gateway_operator.api.common import SecretRef
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.objects import Found, Key

ALLOWED_HOSTS = "llmgateway.dev/allowed-hosts"

_NOT_IN_A_VARIABLE = re.compile(r"[^A-Z0-9_]")


@dataclass(frozen=True, slots=True)
class Value:
    """A value that was found. `origin` says where, for people: `environment variable OPENAI_API_KEY`.

    `hosts`: where it may be sent, in lower case; None: anywhere.
    """

    secret: Secret
    origin: str
    hosts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """No value. `message` is a sentence that names the Secret, the key and where it was looked for."""

    message: str
    reason: Reason


class SecretSource(Protocol):
    """Answers from what was gathered before: asking does no I/O."""

    def find(self, namespace: str, ref: SecretRef) -> Value | Missing: ...


class LocalSecrets:
    """Secret objects of a folder, and an environment. `references`: all that the gateway's providers make."""

    def __init__(
        self, folder: Mapping[Key, Found[api.Secret]], env: Mapping[str, str], references: Iterable[SecretRef]
    ) -> None:
        self._folder = folder
        self._env = env
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for ref in references:
            self._names[_upper(ref.key)].add(ref.name)

    def find(self, namespace: str, ref: SecretRef) -> Value | Missing:
        """A trailing line break is no part of a value: files and `echo` add one."""
        what = f"Secret {namespace}/{ref.name}, key {ref.key}"
        found = self._folder.get(Key(namespace, ref.name))
        text = None
        if found is not None:
            if not found.value.serves_providers():
                return Missing(
                    f"Secret {namespace}/{ref.name} has the type {found.value.type}, which is no provider's",
                    Reason.REF_NOT_PERMITTED,
                )
            try:
                text = found.value.value(ref.key)
            except ValueError as error:
                return Missing(f"{what} ({found.source.place}): {error}", Reason.CREDENTIAL_MISSING)
        if text is not None and found is not None:
            hosts = allowed_hosts(found.value.metadata.annotations)
            return checked(what, text, f"Secret {ref.name} at {found.source.place}", hosts)
        variable = self.variable(ref)
        if self._env.get(variable):
            return checked(f"{what}, environment variable {variable}", self._env[variable], f"${variable}")
        return Missing(
            f"{_absence(namespace, ref, found)}, and the environment variable {variable} is not set",
            Reason.SECRET_NOT_FOUND if found is None else Reason.SECRET_KEY_NOT_FOUND,
        )

    def variable(self, ref: SecretRef) -> str:
        """The environment variable that stands in for `ref`."""
        alone = len(self._names[_upper(ref.key)] | {ref.name}) == 1
        return _upper(ref.key) if alone else f"{_upper(ref.name)}_{_upper(ref.key)}"


def _absence(namespace: str, ref: SecretRef, found: Found[api.Secret] | None) -> str:
    if found is None:
        return f"no Secret {namespace}/{ref.name} (key {ref.key}) in the folder"
    keys = ", ".join(sorted(found.value.keys())) or "none"
    return f"Secret {namespace}/{ref.name} at {found.source.place} has no key {ref.key} (its keys: {keys})"


def allowed_hosts(annotations: Mapping[str, str]) -> frozenset[str] | None:
    """The hosts that a Secret's annotation names, separated by commas; None without it: any host."""
    text = annotations.get(ALLOWED_HOSTS)
    return (
        None if text is None else frozenset(host.strip().lower() for host in text.split(",") if host.strip())
    )


def checked(what: str, text: str, origin: str, hosts: frozenset[str] | None = None) -> Value | Missing:
    """The value in `text`, if it can be sent as a header. `what` names it in the message."""
    value = text.removesuffix("\n").removesuffix("\r")
    fault = credential_fault(value)
    if fault:
        return Missing(f"{what}: {fault}", Reason.CREDENTIAL_MISSING)
    return Value(Secret(value), origin, hosts)


def _upper(name: str) -> str:
    return _NOT_IN_A_VARIABLE.sub("_", name.upper())
