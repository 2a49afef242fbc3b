"""All that one gateway is made from, at one moment: objects from the store, values of Secrets from the API server.

The store is asked without a pause in between, so all of it belongs together, and it never takes an object for gone
that is only missing in a list. Secrets are read from the API server itself: their absence takes a provider away.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from llm_gateway_operator.admissions import Admissions
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.kinds import DEPLOYMENT, PROVIDER
from llm_gateway_operator.live_secrets import LiveSecrets, Reader, read_secrets
from llm_gateway_operator.objects import Finding, Found, Key, Objects
from llm_gateway_operator.render.pod import grace_period
from llm_gateway_operator.selection import select
from llm_gateway_operator.store import GatewayView, Store


@dataclass(frozen=True, slots=True)
class Gathered:
    """`refused`: the findings of candidates that are no valid objects, by provider. `drain_floor`: seconds."""

    gateway: Found[LLMGateway]
    objects: Objects
    refused: Mapping[Key, tuple[Finding, ...]]
    secrets: LiveSecrets
    drain_floor: float


async def gather(
    client: Reader, store: Store, admissions: Admissions, view: GatewayView, gateway: Found[LLMGateway]
) -> Gathered:
    """`gateway`: of `view`, which is the newest of `store`. Raises KubeError when a Secret cannot be read."""
    objects, refused = _objects(store, admissions, view, gateway)
    providers = [found.value for found in select(objects, gateway).providers.values()]
    return Gathered(
        gateway=gateway,
        objects=objects,
        refused=refused,
        secrets=await read_secrets(client, providers),
        drain_floor=_drain_floor(view),
    )


def _objects(
    store: Store, admissions: Admissions, view: GatewayView, gateway: Found[LLMGateway]
) -> tuple[Objects, dict[Key, tuple[Finding, ...]]]:
    """Every provider of the namespace, so that a hint can name it, and those elsewhere that the gateway names."""
    here = gateway.key.namespace
    near = {known.key: known for known in store.all(PROVIDER) if known.key.namespace == here}
    admitted = {key: admissions.provider(known) for key, known in {**near, **view.providers}.items()}
    providers: dict[Key, Found[LLMProvider]] = {
        key: each.found for key, each in admitted.items() if each.found is not None
    }
    # One elsewhere whose consent cannot be read has not consented, and nothing is told about it.
    unreadable = frozenset(
        ("LLMProvider", key) for key in admitted.keys() - providers.keys() if key.namespace == here
    )
    labels = {} if view.namespace_labels is None else {here: view.namespace_labels}
    objects = Objects(providers, {gateway.key: gateway}, {}, unreadable, labels)
    refused = {
        key: admitted[key].findings for key in sorted(view.providers) if ("LLMProvider", key) in unreadable
    }
    return objects, refused


def _drain_floor(view: GatewayView) -> float:
    """What the Deployment was last rendered with; 0 where there is none."""
    deployment = deployment_of(view)
    if deployment is None:
        return 0.0
    seconds = deployment.spec["template"]["spec"].get("terminationGracePeriodSeconds") or 0
    return max(float(seconds - grace_period(0.0)), 0.0)


def deployment_of(view: GatewayView) -> Known | None:
    return next((child for child in view.children if child.kind == DEPLOYMENT), None)
