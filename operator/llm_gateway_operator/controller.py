"""One LLMGateway brought to where its spec says, from whatever state it is in.

It is called with a key and no word about what has changed, at any time and any number of times. When there is nothing
to do it writes nothing.
"""

from dataclasses import replace

from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.apply import Applier
from llm_gateway_operator.cluster import Cluster, Outdated, Subject
from llm_gateway_operator.confirm import Confirmation
from llm_gateway_operator.gather import deployment_of, gather
from llm_gateway_operator.kube.errors import ApiError
from llm_gateway_operator.kube.kinds import GATEWAY, PROVIDER, Json
from llm_gateway_operator.objects import Found, Key
from llm_gateway_operator.provider_controller import ProviderController
from llm_gateway_operator.publish import edition, refusals
from llm_gateway_operator.status import GatewayFacts, failed_status, first_status, gateway_status
from llm_gateway_operator.store import GatewayView

# Objects of others that stand in the way are not watched.
_CONFLICT_AGAIN = 30.0
_OUTDATED_AGAIN = 1.0


class Controller:
    """`reconcile` is the work of the queue's workers: never twice at once for one subject."""

    def __init__(self, cluster: Cluster) -> None:
        self._at = cluster
        self._applier = Applier(cluster.client, cluster.store, cluster.clock)
        self._serving: dict[Key, dict[Key, bool]] = {}
        self._providers = ProviderController(cluster, self._serving)

    async def reconcile(self, subject: Subject) -> float | None:
        """Seconds until it wants to be called again. Raises KubeError when it could not finish."""
        try:
            if subject.kind == PROVIDER:
                return await self._providers.reconcile(subject.key)
            return await self._gateway(subject.key)
        except Outdated:
            return _OUTDATED_AGAIN

    async def _gateway(self, key: Key) -> float | None:
        view = self._at.store.view(key)
        if view is None or view.gateway.obj["metadata"].get("deletionTimestamp"):
            self._forget(key)  # what it owns is collected with it
            return None
        if not view.gateway.status:
            await self._write(key, first_status(view.gateway.generation, self._at.now()))
        facts = GatewayFacts(view.gateway.generation)
        admitted = self._at.admissions.gateway(view.gateway)
        if admitted.found is None:
            return await self._say(key, replace(facts, accepted=admitted.findings, stopped=True))
        if admitted.found.value.spec.suspend:
            return await self._say(key, replace(facts, suspended=True))
        try:
            return await self._say(key, await self._published(view, admitted.found, facts))
        except Outdated:
            raise
        except ApiError as error:
            await self._write(key, self._failed(view, error))
            raise

    async def _published(
        self, view: GatewayView, gateway: Found[LLMGateway], facts: GatewayFacts
    ) -> GatewayFacts:
        """Gather, translate and render, apply; and what is to be said about it."""
        at, key = self._at, gateway.key
        gathered = await gather(at.client, at.store, at.admissions, view, gateway)
        wanted = edition(gathered, view.gateway.uid, at.installation, at.server)
        facts = replace(facts, accepted=wanted.accepted, refs=wanted.refs, notes=wanted.notes)
        if wanted.excess is not None:
            return replace(facts, stopped=True)
        applied = await self._applier.apply(view, wanted.children)
        if applied.conflicts:
            return replace(facts, conflicts=applied.conflicts)
        self._note_serving(key, wanted.providers)
        refused = tuple(refusals(gateway, applied.refusals))
        return replace(
            facts,
            accepted=(*facts.accepted, *refused),
            stopped=bool(refused),
            overridden=applied.overridden,
            publication=wanted.publication,
            confirmation=await self._confirmed(key, wanted.publication.revision),
        )

    async def _confirmed(self, key: Key, revision: str) -> Confirmation | None:
        view = self._at.store.view(key)
        return await self._at.confirm(revision, view.pods) if view is not None else None

    async def _say(self, key: Key, facts: GatewayFacts) -> float | None:
        """Writes the status. The Deployment in it is the newest that is known."""
        view = self._at.store.view(key)
        if view is None:
            self._forget(key)
            return None
        deployment = deployment_of(view)
        if deployment is not None:
            facts = replace(facts, deployment=deployment.obj)
        await self._write(key, gateway_status(facts, view.gateway.status, self._at.now()))
        waits = [self._at.resync()]
        if facts.conflicts:
            waits.append(_CONFLICT_AGAIN)
        if facts.confirmation is not None and facts.confirmation.again_after is not None:
            waits.append(facts.confirmation.again_after)
        return min(waits)

    def _failed(self, view: GatewayView, error: ApiError) -> Json:
        newest = self._at.store.get(GATEWAY, view.gateway.key)
        before = newest.status if newest is not None else {}
        return failed_status(view.gateway.generation, str(error), before, self._at.now())

    async def _write(self, key: Key, status: Json) -> None:
        newest = self._at.store.get(GATEWAY, key)
        if newest is not None:
            await self._at.write_status(newest, status)

    def _note_serving(self, key: Key, providers: dict[Key, bool]) -> None:
        """The providers say in their status who serves them."""
        before = self._serving.get(key, {})
        self._serving[key] = providers
        for provider in before.keys() | providers.keys():
            if before.get(provider) != providers.get(provider):
                self._at.stir(Subject(PROVIDER, provider))

    def _forget(self, key: Key) -> None:
        self._applier.forget(key)
        self._serving.pop(key, None)
        self._at.admissions.forget(GATEWAY, key)
