"""All that the objects of one gateway are made from. Nothing else goes into them, so equal intents give equal
objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from llm_gateway_config.document import Server
from llm_gateway_config.secret import Secret
from llm_gateway_config.units import parse_duration
from llm_gateway_operator.api.gateway import GatewaySpec, LLMGateway
from llm_gateway_operator.translate import Translated

METRICS_PORT = Server().metrics_port


@dataclass(frozen=True, slots=True)
class Installation:
    """What the operator was started with. `image`: the gateway's, where the resource names none."""

    image: str
    operator_namespace: str


@dataclass(frozen=True, slots=True)
class Intent:
    """`uid` None: of a folder, where no API server has given one; the objects then have no owner.

    `document`: gateway.yaml; `credentials`: file name beside it -> value. `port` and `drain_timeout` (seconds) are
    what the document says, and so what its pods will do.
    """

    name: str
    namespace: str
    uid: str | None
    spec: GatewaySpec
    document: str
    revision: str
    credentials: Mapping[str, Secret]
    port: int
    drain_timeout: float
    installation: Installation


def intent_of(
    gateway: LLMGateway, uid: str | None, translated: Translated, document: str, installation: Installation
) -> Intent:
    """`translated` and its text `document` must be made for a pod, by `translate.in_pod()`."""
    server = translated.document["server"]
    return Intent(
        name=gateway.metadata.name,
        namespace=gateway.metadata.namespace,
        uid=uid,
        spec=gateway.spec,
        document=document,
        revision=translated.document["revision"],
        credentials=translated.credentials,
        port=server.get("port", Server().port),
        drain_timeout=parse_duration(server["graceful_shutdown_timeout"]),
        installation=installation,
    )
