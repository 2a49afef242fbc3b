"""Objects as models, made once for each state of an object: a provider is asked for by all of its gateways."""

from typing import Any

from llm_gateway_operator.admit import Admitted, admit_gateway, admit_provider
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.api.provider import LLMProvider
from llm_gateway_operator.known import Known
from llm_gateway_operator.kube.kinds import Kind
from llm_gateway_operator.objects import Key


class Admissions:
    def __init__(self) -> None:
        self._kept: dict[tuple[Kind, Key], tuple[str, Admitted[Any]]] = {}

    def provider(self, known: Known) -> Admitted[LLMProvider]:
        return self._once(known, lambda: admit_provider(known.obj))

    def gateway(self, known: Known) -> Admitted[LLMGateway]:
        return self._once(known, lambda: admit_gateway(known.obj))

    def forget(self, kind: Kind, key: Key) -> None:
        """To be called for what is gone."""
        self._kept.pop((kind, key), None)

    def _once(self, known: Known, admit: Any) -> Admitted[Any]:
        place = (known.kind, known.key)
        kept = self._kept.get(place)
        if kept is None or kept[0] != known.fingerprint:
            kept = self._kept[place] = (known.fingerprint, admit())
        return kept[1]
