"""What a person reads when the gateway is up."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_operator.announce import announcement, curl, model_to_try
from llm_gateway_operator.plan import make_plan
from llm_gateway_operator.translate import Listen

ROOT = Path(__file__).parents[2]


def test_the_quickstart_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plan = make_plan(Path("examples/quickstart"), None, {}, Listen())
    lines = list(announcement(plan, 1234, 5678))
    assert "  API       http://127.0.0.1:1234/v1" in lines
    assert "  metrics   http://127.0.0.1:5678/metrics" in lines
    assert "  config    http://127.0.0.1:5678/config" in lines
    assert "  models    chat, echo, lorem" in lines
    assert (
        "  left out  openai: no Secret llm-gateway/llm-gateway-secrets (key openai-api-key) in the folder, "
        "and the environment variable OPENAI_API_KEY is not set"
    ) in lines
    assert lines[-1] == f"  {curl('echo', 1234)}"


def test_the_quickstart_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plan = make_plan(Path("examples/quickstart"), None, {"OPENAI_API_KEY": "sk-1"}, Listen())
    text = "\n".join(announcement(plan, 1234, 5678))
    assert "  models    chat, echo, lorem, gpt-4o, gpt-4o-mini" in text
    assert "  key       openai: from $OPENAI_API_KEY" in text
    assert "left out" not in text
    assert "sk-1" not in text


Providers = Mapping[str, Mapping[str, Any]]
MOCK = {"type": "mock", "models": ["lorem", "echo"]}
OPENAI = {"type": "openai", "models": [{"name": "gpt-4o", "upstream_model": "x"}]}
CHOICES: dict[str, tuple[Providers, Mapping[str, Any], str | None]] = {
    "echo of a mock": ({"openai": OPENAI, "z": MOCK}, {}, "echo"),
    "any model of a mock": ({"a": OPENAI, "m": {"type": "mock", "models": ["lorem"]}}, {}, "lorem"),
    "a real model, when there is no mock": ({"openai": OPENAI}, {}, "gpt-4o"),
    "a mock's echo, though another provider has one": (
        {"m": MOCK, "o": {"type": "openai", "models": ["echo"]}},
        {},
        "m/echo",
    ),
    "a mock's echo, though the gateway has a model of that name": ({"m": MOCK}, {"echo": {}}, "m/echo"),
    "a name that was escaped": ({"m": {"type": "mock", "models": ["$${A}"]}}, {}, "${A}"),
    "nothing": ({}, {}, None),
}


@pytest.mark.parametrize(("providers", "models", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_model_to_try(providers: Providers, models: Mapping[str, Any], expected: str | None) -> None:
    document = {"providers": providers, "routing": {"models": models}}
    assert model_to_try(document) == expected


def test_the_command_survives_a_shell() -> None:
    words = shlex.split(curl('it\'s a "model" $HOME', 1234))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:1234/v1/chat/completions"]
    assert json.loads(words[-1])["model"] == 'it\'s a "model" $HOME'
