"""A gateway that has no file, only variables; and the example, whose key is one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import RunningGateway, running
from llm_gateway_testing.raw_client import Answer, RawClient, chat
from llm_gateway_testing.repository import ROOT
from llm_gateway_testing.upstream import Upstream
from llm_gateway_testing.upstream import chat as well_behaved


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    names = ("gpt-4o", "chatgpt-4o-latest", "o1", "o3-mini", "o4-mini", "of/any/name", "claude-x")
    with upstream_in_background({name: well_behaved() for name in names}) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def keyed(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway without a file."""
    env = {
        "OPENAI_API_KEY": "sk-of-environment",
        "OPENAI_BASE_URL": upstream.base_url,
        "PORT": "0",
        "METRICS_PORT": "0",
        "REDIS_URL": "redis://:redis-password@cache:6379/0",
        "CACHE_TTL": "3600",
    }
    with running(tmp_path_factory.mktemp("environment"), None, env=env) as gateway:
        yield gateway
        assert gateway.stop() == 0
        assert gateway.errors() == ""


def ask(gateway: RunningGateway, model: str, **more: Any) -> Answer:
    with RawClient(gateway.port) as client:
        return client.ask(chat(model, **more))


def logged(gateway: RunningGateway, answer: Answer) -> dict[str, Any]:
    return gateway.request(answer.headers["x-request-id"])


SERVED = {
    "openai/gpt-4o": "gpt-4o",
    "openai/of/any/name": "of/any/name",
    "openai/claude-x": "claude-x",
    "gpt-4o": "gpt-4o",
    "chatgpt-4o-latest": "chatgpt-4o-latest",
    "o1": "o1",
    "o3-mini": "o3-mini",
    "o4-mini": "o4-mini",
}


@pytest.mark.parametrize(("model", "asked"), SERVED.items(), ids=SERVED)
def test_a_key_serves_any_model(keyed: RunningGateway, upstream: Upstream, model: str, asked: str) -> None:
    answer = ask(keyed, model)
    assert (answer.status, answer.json["choices"][0]["message"]["content"]) == (200, "hello")
    assert upstream.requests[-1].json["model"] == asked
    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-of-environment"
    line = logged(keyed, answer)
    assert (line["status"], line["provider"], line["target_model"]) == ("success", "openai", asked)


NOT_SERVED = [
    "claude-x",
    "of/any/name",
    "openai/",
    "openai",
    "gpt",
    "GPT-4o",
    "mock/echo",
    "anthropic/gpt-4o",
]


@pytest.mark.parametrize("model", NOT_SERVED)
def test_other_names_are_not_found(keyed: RunningGateway, upstream: Upstream, model: str) -> None:
    known = len(upstream.requests)
    answer = ask(keyed, model)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert answer.error["code"] == "model_not_found"
    assert len(upstream.requests) == known
    line = logged(keyed, answer)
    assert (line["status"], line["code"], line["attempts"]) == ("client_error", "model_not_found", 0)


def test_streams_are_served_from_the_environment_alone(keyed: RunningGateway) -> None:
    answer = ask(keyed, "gpt-4o", stream=True)
    assert answer.status == 200
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_the_log_says_what_the_environment_serves_and_what_it_does_not_use(keyed: RunningGateway) -> None:
    told = {line["message"]: line["level"] for line in keyed.lines()}
    [table] = [message for message in told if message.startswith("no gateway.yaml: serving what")]
    for name in ("openai/NAME", "gpt-*", "o1*"):
        assert name in table
    for name in ("REDIS_URL", "CACHE_TTL"):
        assert told[f"{name} is set, but this version has nothing that uses it"] == "WARNING"
    assert not any("OPENAI" in message for message in told)


def test_no_secret_of_the_environment_is_shown(keyed: RunningGateway) -> None:
    config = keyed.config()
    assert config["config"]["providers"]["openai"]["api_key"] == "***"
    assert (config["refused"], config["left_out"], config["restart_required"]) == (None, {}, [])
    shown = f"{config}{keyed.lines()}"
    assert "sk-of-environment" not in shown
    assert "redis-password" not in shown


def test_a_gateway_without_a_file_is_ready(keyed: RunningGateway) -> None:
    status, page = keyed.get("/ready")
    assert (status, page["providers"]) == (200, {"openai": {"status": "configured"}})
    assert "reason" not in page


def test_the_example_starts_as_it_is_printed(tmp_path: Path) -> None:
    with running(
        tmp_path, (ROOT / "examples" / "gateway.yaml").read_text(), env={"PORT": "0", "METRICS_PORT": "0"}
    ) as gateway:
        for model in ("chat", "echo", "mock/echo"):
            answer = ask(gateway, model)
            assert (answer.status, answer.json["choices"][0]["message"]["content"]) == (200, "hi"), model
            line = logged(gateway, answer)
            assert (line["status"], line["provider"], line["attempts"]) == ("success", "mock", 1)
        assert ask(gateway, "gpt-4o").status == 404
        listed = {model["id"] for model in gateway.get("/v1/models")[1]["data"]}
        assert listed == {"chat", "echo"}
        assert list(gateway.config()["left_out"]) == ["openai"]
        providers = gateway.get("/ready")[1]["providers"]
        assert {id_: each["status"] for id_, each in providers.items()} == {
            "mock": "configured",
            "openai": "left_out",
        }
        warned = [line["message"] for line in gateway.lines() if line["level"] == "WARNING"]
        assert len(warned) == 1
        assert "provider openai is left out" in warned[0]
        assert gateway.stop() == 0
