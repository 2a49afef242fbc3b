"""The golden cases of the operator's rendering: a gateway of each folder, as the objects of a cluster."""

from pathlib import Path

from llm_gateway_config.problems import Problem
from llm_gateway_operator.manifests import manifests
from llm_gateway_operator.plan import make_plan
from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.intent import Installation
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_operator.translate import in_pod
from llm_gateway_testing.repository import ROOT

GOLDEN = ROOT / "tests" / "llm_gateway_operator" / "render" / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())

INSTALLATION = Installation("registry.example.com/llm-gateway:1.2.3", "llm-gateway-system")
VERSIONS = {"kubernetes_1_25": ServerVersion(1, 25)}
NEWEST = ServerVersion(1, 34)


def rendered(case: str) -> list[Child]:
    """Raises AssertionError if the case has problems or warnings."""
    return rendered_from(GOLDEN / case / "in.yaml", VERSIONS.get(case, NEWEST))


def rendered_from(folder: Path, server: ServerVersion = NEWEST) -> list[Child]:
    plan = make_plan(folder, None, {}, in_pod())
    assert not [*plan.problems, *plan.warnings, *plan.notes], plan
    children = manifests(plan, INSTALLATION, server)
    assert not isinstance(children, Problem), children
    return children
