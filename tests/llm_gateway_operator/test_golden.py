"""Golden pairs: resources in, the document and what was said about it out. `pytest --update-golden` rewrites them."""

from pathlib import Path

import pytest

from llm_gateway_config import load_file
from llm_gateway_operator.plan import Plan, make_plan
from llm_gateway_operator.translate import Listen
from llm_gateway_operator.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())
SERVED = sorted(file.parent.name for file in GOLDEN.glob("*/config.yaml"))


@pytest.fixture
def plan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(GOLDEN / request.param)
    return make_plan(Path("in.yaml"), None, {}, Listen())


def told(plan: Plan) -> str:
    lines = [
        *(f"error: {problem}" for problem in plan.problems),
        *(f"warning: {warning}" for warning in plan.warnings),
        *(f"note: {note}" for note in plan.notes),
    ]
    return "".join(f"{line}\n" for line in lines)


def compare(path: Path, text: str, *, update: bool) -> None:
    """An absent golden file stands for empty text."""
    if update:
        path.write_text(text, encoding="utf-8") if text else path.unlink(missing_ok=True)
    assert text == (path.read_text(encoding="utf-8") if path.exists() else "")


@pytest.mark.parametrize(("plan", "name"), [(name, name) for name in CASES], ids=CASES, indirect=["plan"])
def test_document_and_problems(plan: Plan, name: str, request: pytest.FixtureRequest) -> None:
    update = bool(request.config.getoption("--update-golden"))
    compare(GOLDEN / name / "problems.txt", told(plan), update=update)
    compare(GOLDEN / name / "config.yaml", "" if plan.problems else plan.text, update=update)


@pytest.mark.parametrize("plan", SERVED, indirect=True)
def test_every_golden_document_is_one_of_the_contract(plan: Plan, tmp_path: Path) -> None:
    assert plan.translated is not None
    workspace = Workspace(tmp_path)
    workspace.write(plan.text, plan.translated.credentials)
    # Whatever leaks from a resource into a variable's name would be found by these.
    loaded = load_file(workspace.document, {"HOME": "leaked", "MODEL": "leaked"}, strict=True)
    assert not loaded.warnings
    assert not loaded.left_out
    assert loaded.revision == plan.translated.document["revision"]
    revealed = [
        credential.reveal()
        for provider in loaded.config.providers.values()
        for credential in (provider.api_key, *provider.headers.values())
        if credential is not None
    ]
    names = [model.name for provider in loaded.config.providers.values() for model in provider.models]
    assert not any("leaked" in text for text in [*revealed, *names])
