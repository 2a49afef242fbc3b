"""docs/dependencies.md gives a reason for each direct dependency, and for nothing else."""

import re

from packaging.utils import canonicalize_name

from llm_gateway_testing.repository import ROOT, requirements

ROW = re.compile(r"^\| `([^`]+)` \| (\S.*) \|$", re.MULTILINE)


def test_every_direct_dependency_has_its_line() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    explained = [canonicalize_name(name) for name, _ in ROW.findall(text)]
    declared = {canonicalize_name(each.name) for each in requirements("operator", "gateway", "dev", "build")}
    assert sorted(explained) == sorted(declared)
