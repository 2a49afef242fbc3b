"""The models: defaults, shorthands, descriptions."""

from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from llm_gateway_config import GatewayConfig, Provider, Timeouts, shape

MODELS = list(shape.models(GatewayConfig))


def test_an_empty_document_has_every_default() -> None:
    config = GatewayConfig()
    server = config.server
    assert (config.contract, config.requires, config.revision) == (1, (), None)
    assert (server.host, server.port, server.metrics_port) == (None, 8080, 9090)
    assert (server.graceful_shutdown_timeout, server.shutdown_delay) == (30.0, 0.0)
    assert (server.keep_alive_timeout, server.header_timeout, server.stream_heartbeat) == (75.0, 30.0, 15.0)
    assert (server.max_connections, server.max_request_body_size, server.max_header_size) == (
        10000,
        10**7,
        32000,
    )
    assert (server.max_response_body_size, server.max_held_size) == (64 * 10**6, 256 * 10**6)
    assert (server.tls, server.cors) == (None, None)
    assert (config.telemetry.log.level, config.telemetry.log.format) == ("info", "auto")
    assert (config.routing.strategy, dict(config.routing.models), dict(config.providers)) == (
        "model_based",
        {},
        {},
    )
    assert Timeouts() == Timeouts.model_validate(
        {"connect": "5s", "headers": "60s", "first_token": "60s", "idle": "60s", "total": "10m"}
    )


def test_a_model_is_a_name_or_a_map() -> None:
    provider = Provider.model_validate(
        {"type": "mock", "models": ["echo", {"name": "a/b", "price": {"input": "2.50", "output": "10"}}]}
    )
    assert [model.name for model in provider.models] == ["echo", "a/b"]
    price = provider.models[1].price
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (Decimal("2.50"), Decimal(10), None)


def test_openai_has_an_address_of_its_own() -> None:
    assert Provider.model_validate({"type": "openai"}).base_url == "https://api.openai.com/v1"
    assert (
        Provider.model_validate({"type": "openai", "base_url": "http://proxy/v1/"}).base_url
        == "http://proxy/v1"
    )
    assert Provider.model_validate({"type": "mock"}).base_url is None


def test_a_key_without_a_value_counts_as_absent() -> None:
    config = GatewayConfig.model_validate({"server": None, "telemetry": {"log": None}, "providers": None})
    assert config == GatewayConfig()


def test_text_of_digits_is_a_number_because_braces_demand_quotes() -> None:
    config = GatewayConfig.model_validate({"server": {"port": "8081"}})
    assert config.server.port == 8081
    assert Provider.model_validate({"type": "mock", "stream_usage": "false"}).stream_usage is False


def test_the_level_of_the_log_is_taken_in_any_case() -> None:
    assert (
        GatewayConfig.model_validate({"telemetry": {"log": {"level": "DEBUG"}}}).telemetry.log.level
        == "debug"
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_who_sets_it_and_what_absence_means(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        description = field.description or ""
        assert description.startswith("Set by "), name
        assert field.is_required() or "Absent" in description, name


def test_the_walk_over_the_models_finds_the_deepest() -> None:
    assert {"MockFault", "Price", "TargetRef", "ServerTls", "Log"} <= {model.__name__ for model in MODELS}


def test_pydantic_itself_shows_no_input() -> None:
    with pytest.raises(ValidationError) as caught:
        GatewayConfig.model_validate(
            {"server": {"port": "sk-0123456789"}, "providers": {"a": {"type": "sk-0123456789"}}}
        )
    assert "sk-0123456789" not in str(caught.value)
