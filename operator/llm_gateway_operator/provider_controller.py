"""The status of one LLMProvider: there is nothing else to make of it."""

from collections.abc import Mapping

from llm_gateway_operator.api.conditions import ConditionType
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.cluster import Cluster
from llm_gateway_operator.conditions import of_condition
from llm_gateway_operator.credentials import resolve
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.kinds import NAMESPACE, PROVIDER
from llm_gateway_operator.live_secrets import read_secrets
from llm_gateway_operator.objects import Finding, Found, Key, Objects
from llm_gateway_operator.provider_status import ProviderFacts, provider_status, serving_before
from llm_gateway_operator.selection import consents


class ProviderController:
    """`serving`: what each gateway that was reconciled has selected, and whether it serves it."""

    def __init__(self, cluster: Cluster, serving: Mapping[Key, Mapping[Key, bool]]) -> None:
        self._at = cluster
        self._serving = serving

    async def reconcile(self, key: Key) -> float | None:
        """As Controller's."""
        known = self._at.store.get(PROVIDER, key)
        if known is None:
            self._at.admissions.forget(PROVIDER, key)
            return None
        admitted = self._at.admissions.provider(known)
        refs = await self._unresolved(admitted.found) if admitted.found is not None else ()
        facts = ProviderFacts(
            generation=known.generation,
            models=len(known.spec.get("models") or ()),
            accepted=(*admitted.findings, *of_condition(ConditionType.ACCEPTED, refs)),
            refs=of_condition(ConditionType.RESOLVED_REFS, refs),
            gateways=self._gateways(known, admitted.found),
        )
        newest = self._at.store.get(PROVIDER, key)
        if newest is not None:
            status = provider_status(facts, newest.status, self._at.now())
            await self._at.write_status(newest, status)
        return self._at.resync()

    async def _unresolved(self, found: Found[LLMProvider]) -> tuple[Finding, ...]:
        answer = resolve(found, await read_secrets(self._at.client, [found.value]))
        return (answer,) if isinstance(answer, Finding) else ()

    def _gateways(self, known: Known, found: Found[LLMProvider] | None) -> dict[Key, bool]:
        """A gateway that was not reconciled by this process yet serves what it served."""
        before = serving_before(known.status)
        return {
            gateway: self._serving[gateway].get(known.key, False)
            if gateway in self._serving
            else before.get(gateway, False)
            for gateway in self._at.store.gateways_of(known.key)
            if self._consents(known, found, gateway.namespace)
        }

    def _consents(self, known: Known, found: Found[LLMProvider] | None, namespace: str) -> bool:
        if found is None:
            return namespace == known.key.namespace
        there = self._at.store.get(NAMESPACE, Key("", namespace))
        labels = {namespace: there.labels} if there is not None else {}
        return consents(found.value, namespace, Objects({}, {}, {}, namespaces=labels))
