"""Exit codes and streams of `render` and `validate`, as CI sees them."""

from pathlib import Path

import pytest
import yaml

from llm_gateway_config import load_text
from llm_gateway_operator.cli import main

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_render_prints_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART), "--gateway-image=own:2", "--operator-namespace=ops"]) == 0
    out, err = capsys.readouterr()
    objects = {each["kind"]: each for each in yaml.safe_load_all(out)}
    assert list(objects) == [
        "ServiceAccount",
        "Secret",
        "ConfigMap",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ]
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["name"], container["image"]) == ("gateway", "own:2")
    assert "kubernetes.io/metadata.name: ops" in out
    assert err.startswith("warning: ")


def test_render_asks_for_what_the_server_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART), "--kubernetes-version=1.26"]) == 0
    assert "matchLabelKeys" not in capsys.readouterr().out
    assert main(["render", str(QUICKSTART)]) == 0
    assert "matchLabelKeys" in capsys.readouterr().out


def test_render_config_prints_the_document_of_the_config_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART), "--config"]) == 0
    document = capsys.readouterr().out
    assert main(["render", str(QUICKSTART)]) == 0
    objects = {each["kind"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}
    assert objects["ConfigMap"]["data"] == {"gateway.yaml": document}


def test_render_refuses_what_no_object_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    models = "\n".join(f"    - name: {'x' * 250}{number}" for number in range(500))
    provider = "kind: LLMProvider\nmetadata: {name: mock%d}\nspec:\n  type: Mock\n  models:\n%s\n"
    head = "apiVersion: llmgateway.dev/v1alpha1\n"
    texts = [head + "kind: LLMGateway\nmetadata: {name: one}\nspec: {}\n"]
    texts += [head + provider % (number, models) for number in range(9)]
    (tmp_path / "in.yaml").write_text("---\n".join(texts))
    assert main(["render", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("LLMGateway default/one: gateway.yaml is ")
    assert "and ConfigMap one-config holds at most 1048576" in err


def test_render_config_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART), "--config"]) == 0
    out, err = capsys.readouterr()
    config = load_text(out, source="out", env={}, strict=True).config
    assert list(config.providers) == ["mock"]
    assert err.startswith(
        f"warning: {QUICKSTART}/providers.yaml:19: spec.auth.secretRef: provider openai is left out: "
    )


def test_render_names_files_and_shows_no_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert main(["render", str(QUICKSTART)]) == 0
    out, err = capsys.readouterr()
    assert "file: llm-gateway.llm-gateway-secrets.openai-api-key." in out
    [secret] = [each for each in yaml.safe_load_all(out) if each["kind"] == "Secret"]
    assert [*secret["data"].values()] == ["***"]
    assert "sk-secret" not in out + err


def test_render_refuses_a_folder_with_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(GOLDEN / "across_objects" / "in.yaml")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        "in.yaml:26: spec.providers.refs[0].name: no LLMProvider opena in namespace llm (did you mean openai?)"
        in err
    )


def test_validate_takes_a_missing_secret_for_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(QUICKSTART)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        f"{QUICKSTART}/providers.yaml:19: spec.auth.secretRef: no Secret llm-gateway/llm-gateway-secrets"
        in err
    )


def test_validate_is_content_with_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert main(["validate", str(QUICKSTART)]) == 0
    expected = f"{QUICKSTART}: LLMGateway llm-gateway/llm-gateway; 2 LLMProviders: no problems\n"
    assert capsys.readouterr() == (expected, "")


def test_validate_checks_every_gateway_of_the_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    head = "apiVersion: llmgateway.dev/v1alpha1\nkind: LLMGateway\n"
    one = head + "metadata: {name: %s}\nspec: {providers: {refs: [{name: %s}]}}\n"
    (tmp_path / "a.yaml").write_text("---\n".join(one % pair for pair in (("a", "x"), ("b", "z"))))
    assert main(["validate", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}/a.yaml:4: spec.providers.refs[0].name: no LLMProvider x in namespace default",
        f"{tmp_path}/a.yaml:9: spec.providers.refs[0].name: no LLMProvider z in namespace default",
    ]


def test_validate_of_nothing_is_a_problem(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["validate", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path}: holds no LLMGateway: nothing says what to serve\n"


def test_local_prints_the_problems_of_its_first_reading(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["local", str(tmp_path)]) == 1
    assert capsys.readouterr() == ("", f"{tmp_path}: holds no LLMGateway: nothing says what to serve\n")


WRONG_USAGE = {
    "no command": ([], {}),
    "no folder": (["validate"], {}),
    "an unknown option": (["render", ".", "--values"], {}),
    "a version that is none": (["render", ".", "--kubernetes-version", "new"], {}),
    "a port that is none": (["local", ".", "--port", "80800"], {}),
    "a port in the environment that is none": (["local", "."], {"PORT": "http"}),
}


@pytest.mark.parametrize(("arguments", "env"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage(arguments: list[str], env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("llm-gateway-operator 0.")
