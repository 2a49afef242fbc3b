"""Properties of the document that no single golden file shows."""

from pathlib import Path

from llm_gateway_config import MockFaultKind, ProviderType, Strategy, load_file
from llm_gateway_operator.api import gateway, provider
from llm_gateway_operator.plan import Plan, make_plan
from llm_gateway_operator.translate import Listen
from llm_gateway_operator.workspace import Workspace

GOLDEN = Path(__file__).parent / "golden"
EVERY_FIELD = GOLDEN / "every_field" / "in.yaml"


def plan_of(target: Path, **env: str) -> Plan:
    return make_plan(target, None, env, Listen())


def test_the_order_of_objects_and_entries_means_nothing(tmp_path: Path) -> None:
    documents = EVERY_FIELD.read_text(encoding="utf-8").split("---\n")
    (tmp_path / "in.yaml").write_text("---\n".join(reversed(documents)), encoding="utf-8")
    assert plan_of(tmp_path).text == plan_of(EVERY_FIELD).text


def test_escapes_are_undone_by_the_loader(tmp_path: Path) -> None:
    plan = plan_of(EVERY_FIELD)
    assert plan.translated is not None
    workspace = Workspace(tmp_path)
    workspace.write(plan.text, plan.translated.credentials)
    config = load_file(workspace.document, {"HOME": "leaked", "MODEL": "leaked"}, strict=True).config
    assert {name: value.reveal() for name, value in config.providers["vllm"].headers.items()} == {
        "Authorization-Extra": "secret ${HOME}",
        "X-Cost-Center": "${HOME} and $${HOME}",
    }
    assert [model.name for model in config.providers["openai"].models] == ["${MODEL}", "gpt-4o"]
    assert "gpt 4 \U0001f600" in config.routing.models


def test_the_revision_follows_the_value_of_a_credential(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "examples/quickstart/providers.yaml").read_text(encoding="utf-8")
    (tmp_path / "providers.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "gateway.yaml").write_text(
        "{apiVersion: llmgateway.dev/v1alpha1, kind: LLMGateway, metadata: {name: g, namespace: llm-gateway}, spec: {}}"
    )
    first, second = plan_of(tmp_path, OPENAI_API_KEY="sk-1"), plan_of(tmp_path, OPENAI_API_KEY="sk-2")
    assert first.translated is not None
    assert second.translated is not None
    assert first.translated.document["revision"] != second.translated.document["revision"]
    assert set(first.translated.credentials).isdisjoint(second.translated.credentials)
    assert first.text == plan_of(tmp_path, OPENAI_API_KEY="sk-1").text


def test_no_value_of_a_secret_is_in_the_text_or_in_the_repr_of_a_plan() -> None:
    plan = plan_of(EVERY_FIELD)
    assert plan.translated is not None
    assert {secret.reveal() for secret in plan.translated.credentials.values()} == {
        "sk-open",
        "secret ${HOME}",
    }
    for text in (plan.text, repr(plan)):
        assert "sk-open" not in text
        assert "secret ${HOME}" not in text


def test_flags_win_over_the_listener(tmp_path: Path) -> None:
    listen = Listen(host="127.0.0.1", port=1234, metrics_port=8000)
    plan = make_plan(EVERY_FIELD, None, {}, listen)
    assert plan.translated is not None
    assert plan.problems == ()
    assert plan.translated.document["server"] == {
        "host": "127.0.0.1",
        "port": 1234,
        "metrics_port": 8000,
        "graceful_shutdown_timeout": "10m",
    }


def test_every_enum_has_its_word_in_the_contract() -> None:
    pairs = (
        (provider.ProviderType, ProviderType),
        (provider.FaultKind, MockFaultKind),
        (gateway.Strategy, Strategy),
    )
    for ours, theirs in pairs:
        assert {member.name.lower() for member in ours} == {member.value for member in theirs}
