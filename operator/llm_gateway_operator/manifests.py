"""`llm-gateway-operator render FOLDER`: the objects that the operator would apply for the folder's gateway, as YAML.

They are what it applies, but for two things that a folder does not have: the objects' owner, which is the
LLMGateway by the uid that an API server gives, and the values of Secrets, which are masked.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from llm_gateway_config.problems import Problem
from llm_gateway_operator.plan import Plan
from llm_gateway_operator.render.children import Child, render
from llm_gateway_operator.render.intent import Installation, intent_of
from llm_gateway_operator.render.size import too_large
from llm_gateway_operator.render.version import ServerVersion

try:
    from yaml import CSafeDumper as _SafeDumper
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]

_NO_FOLDING = 1 << 30


def manifests(plan: Plan, installation: Installation, server: ServerVersion) -> list[Child] | Problem:
    """The objects of `plan`, which has no problems and was made for a pod; or why they cannot be applied."""
    assert plan.resource is not None
    assert plan.translated is not None
    intent = intent_of(plan.resource, None, plan.translated, plan.text, installation)
    excess = too_large(intent)
    if excess is not None:
        return Problem(f"LLMGateway {plan.gateway}", None, "", excess)
    return render(intent, server)


def manifests_text(children: Iterable[Child]) -> str:
    """YAML for people and for kubectl: one document for each object, values of Secrets masked."""
    text: str = yaml.dump_all(
        (child.masked() for child in children),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=_NO_FOLDING,
    )
    return text


class _Dumper(_SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    # gateway.yaml inside a ConfigMap, to be read line by line.
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
