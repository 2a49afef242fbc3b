"""`v1/Secret`, as far as a folder of YAML may hold one. In a cluster Secrets are read from the API server."""

import base64
import binascii
from collections.abc import Mapping
from typing import Literal

from llm_gateway_config.frozen import FrozenMap
from llm_gateway_operator.api.common import Metadata, Part
from llm_gateway_operator.api.scalars import NO_STRINGS

# api.md, rule 5: whoever may edit a provider could send these to a host of theirs.
_NOT_FOR_PROVIDERS = ("kubernetes.io/", "helm.sh/")


class Secret(Part):
    """A Secret object. `repr` shows the names of its keys only."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    type: str = "Opaque"
    data: FrozenMap[str] = NO_STRINGS
    string_data: FrozenMap[str] = NO_STRINGS

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.keys())})"

    __str__ = __repr__

    def keys(self) -> frozenset[str]:
        return frozenset(self.data) | frozenset(self.string_data)

    def serves_providers(self) -> bool:
        return not self.type.startswith(_NOT_FOR_PROVIDERS)

    def value(self, key: str) -> str | None:
        """The text under `key`; `stringData` wins over `data`, as on the API server.

        Raises ValueError when `data` holds something that is not base64 of UTF-8 text; the message has no
        value in it.
        """
        if key in self.string_data:
            return self.string_data[key]
        return _decoded(self.data, key)


def _decoded(data: Mapping[str, str], key: str) -> str | None:
    encoded = data.get(key)
    if encoded is None:
        return None
    try:
        # `base64` on a terminal breaks its output into lines; the API server's decoder takes line breaks too.
        return base64.b64decode("".join(encoded.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("is not base64 of UTF-8 text (plain text goes under stringData)") from None
