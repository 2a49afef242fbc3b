"""The seam: whatever the operator writes, and every example, is a document that the data plane serves."""

import shutil
from pathlib import Path

import pytest

from llm_gateway.routing import order
from llm_gateway.runtime import Runtime, build
from llm_gateway.upstream.registry import Upstreams
from llm_gateway_config import load_file
from llm_gateway_testing.driven import SetClock
from llm_gateway_testing.repository import ROOT

GOLDEN = ROOT / "tests" / "llm_gateway_operator" / "golden"
DOCUMENTS = {
    str(path.relative_to(ROOT)): path
    for path in (*sorted(GOLDEN.glob("*/config.yaml")), ROOT / "examples" / "gateway.yaml")
}
KEY = "sk-of-the-test"


def served(document: Path, folder: Path) -> Runtime:
    """A document built with every credential that it names."""
    copy = folder / "gateway.yaml"
    shutil.copy(document, copy)
    env = {"OPENAI_API_KEY": KEY}
    for file in load_file(copy, env).files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(KEY)
    loaded = load_file(copy, env, strict=True)
    assert not loaded.warnings
    assert not loaded.left_out
    return build(loaded, Upstreams(SetClock()))


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_document_becomes_a_runtime_that_finds_all_its_models(document: Path, tmp_path: Path) -> None:
    runtime = served(document, tmp_path)
    config = runtime.config
    assert set(runtime.models) >= set(config.routing.models)
    for name in runtime.models:
        assert order(runtime.routes.find(name), lambda: 0.0), name
    for id_, provider in config.providers.items():
        for model in provider.models:
            assert runtime.routes.find(f"{id_}/{model.name}").label == f"{id_}/{model.name}"
            assert model.name in runtime.models


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_document_without_its_credentials_is_served_without_those_providers(
    document: Path, tmp_path: Path
) -> None:
    """A Secret that comes later than the document must not keep a pod from starting."""
    copy = tmp_path / "gateway.yaml"
    shutil.copy(document, copy)
    loaded = load_file(copy, {}, strict=True)
    runtime = build(loaded, Upstreams(SetClock()))
    with_key = {id_ for id_, provider in credentials_of(document).items() if provider}
    assert set(runtime.left_out) == with_key
    for id_, provider in runtime.config.providers.items():
        for model in provider.models:
            assert runtime.routes.find(f"{id_}/{model.name}").groups


def credentials_of(document: Path) -> dict[str, bool]:
    """Providers of a document, and whether each names a credential outside of it."""
    import yaml

    providers = yaml.safe_load(document.read_text())["providers"]
    return {
        id_: "{'file'" in str(provider) or "${OPENAI_API_KEY}" in str(provider)
        for id_, provider in providers.items()
    }
