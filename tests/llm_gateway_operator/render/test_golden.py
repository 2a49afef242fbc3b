"""Golden pairs: a gateway in, its objects out. `pytest --update-golden` rewrites them.

The case `minimal` has all objects; each other one only those that differ from `minimal`: what its feature does.
`defaults.txt` names what the gateway does not say, object by object.
"""

from pathlib import Path

import pytest

from llm_gateway_operator.manifests import manifests_text
from llm_gateway_operator.render.children import Child
from llm_gateway_operator.render.defaults import path_text
from llm_gateway_testing.rendered import CASES, GOLDEN, rendered

REFERENCE = "minimal"


@pytest.mark.parametrize("case", CASES)
def test_objects_and_their_defaults(case: str, request: pytest.FixtureRequest) -> None:
    update = bool(request.config.getoption("--update-golden"))
    shown = rendered(case)
    if case != REFERENCE:
        known = rendered(REFERENCE)
        shown = [child for child in shown if child not in known]
    compare(GOLDEN / case / "out.yaml", manifests_text(shown), update=update)
    compare(GOLDEN / case / "defaults.txt", defaults_text(shown), update=update)


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_equal_bytes(case: str) -> None:
    assert manifests_text(rendered(case)) == manifests_text(rendered(case))


def compare(path: Path, text: str, *, update: bool) -> None:
    """An absent golden file stands for empty text."""
    if update:
        path.write_text(text, encoding="utf-8") if text else path.unlink(missing_ok=True)
    assert text == (path.read_text(encoding="utf-8") if path.exists() else "")


def defaults_text(children: list[Child]) -> str:
    return "".join(
        f"{child.object['kind']} {path_text(path)}\n" for child in children for path in child.defaults
    )
