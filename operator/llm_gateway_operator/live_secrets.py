"""The Secrets that one gateway or provider refers to, as the API server has them at this moment.

They are read when they are used and dropped afterwards: nothing keeps a value, and none is older than its rendering.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from llm_gateway_operator.api.common import SecretRef
from llm_gateway_operator.api.conditions import Reason
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.api.secret import Secret
from llm_gateway_operator.credentials import references
from llm_gateway_operator.kube.kinds import SECRET, Json, Kind
from llm_gateway_operator.objects import Key
from llm_gateway_operator.secrets import Missing, Value, allowed_hosts, checked


class Reader(Protocol):
    """What is used of Client."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None: ...


class LiveSecrets:
    """A SecretSource. `objects`: every Secret that may be asked for; None: the API server says there is none."""

    def __init__(self, objects: Mapping[Key, Secret | None]) -> None:
        self._objects = objects

    def find(self, namespace: str, ref: SecretRef) -> Value | Missing:
        name = f"Secret {namespace}/{ref.name}"
        secret = self._objects[Key(namespace, ref.name)]
        if secret is None:
            return Missing(f"there is no {name}", Reason.SECRET_NOT_FOUND)
        if not secret.serves_providers():
            return Missing(
                f"{name} has the type {secret.type}, which is no provider's", Reason.REF_NOT_PERMITTED
            )
        try:
            text = secret.value(ref.key)
        except ValueError:
            return Missing(f"{name}, key {ref.key}: is not UTF-8 text", Reason.CREDENTIAL_MISSING)
        if text is None:
            # Its other keys are not named: who reads a status may not be one who may look into the Secret.
            return Missing(f"{name} has no key {ref.key}", Reason.SECRET_KEY_NOT_FOUND)
        return checked(f"{name}, key {ref.key}", text, name, allowed_hosts(secret.metadata.annotations))


async def read_secrets(client: Reader, providers: Iterable[LLMProvider]) -> LiveSecrets:
    """All that `providers` refer to, each in its provider's namespace. Raises KubeError when it is uncertain whether
    one exists: what was published before then stays."""
    wanted = {
        Key(provider.metadata.namespace, ref.name)
        for provider in providers
        for _, ref in references(provider)
    }
    keys = sorted(wanted)
    found = await asyncio.gather(*(client.get(SECRET, key.namespace, key.name) for key in keys))
    return LiveSecrets({key: _secret(obj) if obj else None for key, obj in zip(keys, found, strict=True)})


def _secret(obj: Json) -> Secret:
    meta = obj["metadata"]
    kept = {name: meta[name] for name in ("name", "namespace", "annotations") if name in meta}
    parts = {name: obj[name] for name in ("apiVersion", "kind", "type", "data") if name in obj}
    return Secret.model_validate({**parts, "metadata": kept})
