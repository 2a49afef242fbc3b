"""From what was gathered to what is to stand in the cluster: translate, check, render. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llm_gateway_config.dump import dump
from llm_gateway_operator.announce import model_names
from llm_gateway_operator.api.conditions import ConditionType, Reason
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.applied import Refusal
from llm_gateway_operator.conditions import of_condition
from llm_gateway_operator.credentials import references
from llm_gateway_operator.gather import Gathered
from llm_gateway_operator.kube.kinds import AUTOSCALER, DEPLOYMENT, SERVICE, Kind
from llm_gateway_operator.objects import Finding, Found, Key, Path
from llm_gateway_operator.render.children import Child, render
from llm_gateway_operator.render.intent import Installation, Intent, intent_of
from llm_gateway_operator.render.size import too_large
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_operator.secrets import Value
from llm_gateway_operator.status import Publication
from llm_gateway_operator.translate import Translated, in_pod, translate

_FIELDS: dict[Kind, Path] = {
    AUTOSCALER: ("spec", "autoscaling"),
    SERVICE: ("spec", "service"),
    DEPLOYMENT: ("spec", "podTemplate"),
}


@dataclass(frozen=True, slots=True)
class Edition:
    """What one gateway is to be. `children` empty: `excess` says what does not fit, and nothing is to be changed.

    `accepted`, `refs`, `notes`: findings as GatewayFacts has them. `providers`: every provider that was selected, and
    whether it is served.
    """

    children: tuple[Child, ...]
    excess: Finding | None
    publication: Publication
    accepted: tuple[Finding, ...]
    refs: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    providers: dict[Key, bool]


def edition(gathered: Gathered, uid: str, installation: Installation, server: ServerVersion) -> Edition:
    gateway = gathered.gateway
    translated = translate(gathered.objects, gateway.key, gathered.secrets, in_pod(gathered.drain_floor))
    intent = intent_of(gateway.value, uid, translated, dump(translated.document), installation)
    sentence = too_large(intent)
    excess = gateway.problem(("spec", "providers"), sentence) if sentence is not None else None
    findings = (*translated.problems, *translated.left_out.values())
    own = of_condition(ConditionType.ACCEPTED, translated.problems)
    refused = tuple(finding for findings in gathered.refused.values() for finding in findings)
    return Edition(
        children=() if excess else tuple(render(intent, server)),
        excess=excess,
        publication=_publication(gathered, translated, intent),
        accepted=(*own, *([excess] if excess else [])),
        refs=(*(each for each in findings if each not in own), *refused),
        notes=translated.warnings,
        providers=_providers(gathered, translated),
    )


def refusals(gateway: Found[LLMGateway], refused: Iterable[Refusal]) -> Iterator[Finding]:
    """What the API server did not take, as findings about the field that it comes from."""
    for each in refused:
        path = _FIELDS.get(each.kind, ("spec",))
        of_template = each.kind == DEPLOYMENT and gateway.value.spec.pod_template is not None
        reason = Reason.INVALID_POD_TEMPLATE if of_template else Reason.INVALID
        yield gateway.problem(path, f"{each.kind.kind} {each.name} is refused: {each.message}", reason)


def _publication(gathered: Gathered, translated: Translated, intent: Intent) -> Publication:
    selection = translated.selection
    served = translated.document.get("providers", {})
    return Publication(
        revision=intent.revision,
        served=len(served),
        # Also those that are no valid objects, and references that lead nowhere: they were asked for.
        selected=len(selection.providers) + len(gathered.refused) + len(selection.problems),
        models=len(model_names(translated.document)),
        url=f"http://{intent.name}.{intent.namespace}.svc:{intent.port}",
        credentials=tuple(sorted(set(_credentials(gathered, translated)))),
    )


def _credentials(gathered: Gathered, translated: Translated) -> Iterator[tuple[str, str, str, str]]:
    for name in translated.document.get("providers", {}):
        provider = translated.selection.providers[name].value
        namespace = provider.metadata.namespace
        for _, ref in references(provider):
            answer = gathered.secrets.find(namespace, ref)
            if isinstance(answer, Value):
                yield namespace, ref.name, ref.key, answer.secret.fingerprint()


def _providers(gathered: Gathered, translated: Translated) -> dict[Key, bool]:
    served = translated.document.get("providers", {})
    selected = {found.key: name in served for name, found in translated.selection.providers.items()}
    return {**dict.fromkeys(gathered.refused, False), **selected}
