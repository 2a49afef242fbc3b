"""The examples do what their comments say."""

from pathlib import Path

from llm_gateway_config import load_file
from llm_gateway_operator.plan import make_plan
from llm_gateway_operator.translate import Listen

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_document_written_by_hand_is_sound() -> None:
    loaded = load_file(EXAMPLES / "gateway.yaml", {"OPENAI_API_KEY": "sk-1"}, strict=True)
    assert (loaded.warnings, dict(loaded.left_out)) == ((), {})
    assert [target.model for target in loaded.config.routing.models["chat"].targets] == ["gpt-4o", "echo"]


def test_the_quickstart_serves_openai_once_its_key_is_known() -> None:
    without = make_plan(EXAMPLES / "quickstart", None, {}, Listen())
    with_key = make_plan(EXAMPLES / "quickstart", None, {"OPENAI_API_KEY": "sk-1"}, Listen())
    assert without.translated is not None
    assert with_key.translated is not None
    assert (without.problems, with_key.problems, with_key.warnings) == ((), (), ())
    assert list(without.translated.left_out) == ["openai"]
    targets = with_key.translated.document["routing"]["models"]["chat"]["targets"]
    assert [target["provider"] for target in targets] == ["openai", "mock"]
