"""The official openai client, sync and async, with nothing changed but its base_url; behind the gateway a llama.cpp."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
import pytest_asyncio

from llm_gateway_testing import llama
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running

llama.require("openai")

import openai  # noqa: E402  # only now: a missing part is to be told with the command that installs it
from openai.types import Model  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

KEY = "sk-of-the-client"
TOKENS = 24
# The same answer each time: the likeliest token, and nothing kept from the request before.
STEADY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say something."}],
    "max_tokens": TOKENS,
    "temperature": 0,
    "extra_body": {"cache_prompt": False},
}
DOCUMENT = (
    ANY_PORT
    + """
providers:
  llama: {type: openai_compatible, base_url: "%s", models: [tiny, {name: renamed, upstream_model: tiny}]}
  mock: {type: mock, open_models: {}, timeouts: {idle: 1s}, mock: {tokens_per_second: 10}, models: [echo]}
routing:
  models:
    smart/model:
      targets:
        - {provider: mock, model: fault-status-503, priority: 0}
        - {provider: llama, model: tiny, priority: 1}
"""
)


class Client(Protocol):
    """The openai client, sync or async, behind one face."""

    async def create(self, **fields: Any) -> ChatCompletion: ...

    async def stream(self, seen: list[ChatCompletionChunk], **fields: Any) -> None: ...

    async def models(self) -> list[Model]: ...

    async def model(self, name: str) -> Model: ...


class SyncClient:
    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client

    async def create(self, **fields: Any) -> ChatCompletion:
        answer: ChatCompletion = self._client.chat.completions.create(**fields)
        return answer

    async def stream(self, seen: list[ChatCompletionChunk], **fields: Any) -> None:
        for chunk in self._client.chat.completions.create(stream=True, **fields):
            seen.append(chunk)  # what came before an error counts, too

    async def models(self) -> list[Model]:
        return list(self._client.models.list())

    async def model(self, name: str) -> Model:
        return self._client.models.retrieve(name)


class AsyncClient:
    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client

    async def create(self, **fields: Any) -> ChatCompletion:
        answer: ChatCompletion = await self._client.chat.completions.create(**fields)
        return answer

    async def stream(self, seen: list[ChatCompletionChunk], **fields: Any) -> None:
        async for chunk in await self._client.chat.completions.create(stream=True, **fields):
            seen.append(chunk)

    async def models(self) -> list[Model]:
        return [model async for model in self._client.models.list()]

    async def model(self, name: str) -> Model:
        return await self._client.models.retrieve(name)


@dataclass(frozen=True)
class Parts:
    gateway: RunningGateway
    llama: str  # its base URL


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("clients")
    with llama.llama(folder) as url, running(folder, DOCUMENT % url) as gateway:
        yield Parts(gateway, url)
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.errors()


async def connected(kind: str, base_url: str) -> AsyncIterator[Client]:
    options: dict[str, Any] = {"base_url": base_url, "api_key": KEY, "max_retries": 0, "timeout": 30}
    if kind == "sync":
        with openai.OpenAI(**options) as client:
            yield SyncClient(client)
    else:
        async with openai.AsyncOpenAI(**options) as async_client:
            yield AsyncClient(async_client)


@pytest_asyncio.fixture(params=["sync", "async"])
async def client(parts: Parts, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async for each in connected(request.param, f"{parts.gateway.url}/v1"):
        yield each


@pytest_asyncio.fixture
async def direct(parts: Parts) -> AsyncIterator[Client]:
    """A client of llama.cpp without the gateway."""
    async for each in connected("sync", parts.llama):
        yield each


def texts(chunks: list[ChatCompletionChunk]) -> list[str | None]:
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]


@pytest.mark.parametrize("model", ["tiny", "renamed", "llama/tiny", "smart/model"])
async def test_a_completion_is_what_the_server_says(
    parts: Parts, client: Client, direct: Client, model: str
) -> None:
    expected = await direct.create(model="tiny", **STEADY)

    answer = await client.create(model=model, **STEADY)

    assert answer.choices[0].model_dump() == expected.choices[0].model_dump()
    assert answer.usage is not None
    assert expected.usage is not None
    assert answer.usage.completion_tokens == TOKENS
    assert answer.usage.model_dump() == expected.usage.model_dump()
    line = parts.gateway.request(str(answer._request_id))
    assert (line["status"], line["http_status"], line["provider"]) == ("success", 200, "llama")
    assert (line["target_model"], line["stream"]) == ("renamed" if model == "renamed" else "tiny", False)
    assert (line["tokens"]["output"], line["tokens"]["total"]) == (TOKENS, answer.usage.total_tokens)
    assert line["attempts"] == (2 if model == "smart/model" else 1)


@pytest.mark.parametrize("model", ["tiny", "renamed", "llama/tiny", "smart/model"])
async def test_a_stream_is_what_the_server_says(client: Client, direct: Client, model: str) -> None:
    expected: list[ChatCompletionChunk] = []
    await direct.stream(expected, model="tiny", **STEADY)
    seen: list[ChatCompletionChunk] = []

    await client.stream(seen, model=model, **STEADY)

    assert [chunk.choices[0].model_dump() for chunk in seen] == [
        chunk.choices[0].model_dump() for chunk in expected
    ]
    assert seen[-1].choices[0].finish_reason == "length"
    assert len("".join(filter(None, texts(seen)))) > 0


async def test_usage_of_a_stream_is_shown_to_those_who_ask_and_always_counted(
    parts: Parts, client: Client
) -> None:
    counted = parts.gateway.metric("llm_gateway_tokens_total", model="tiny", type="output")
    silent: list[ChatCompletionChunk] = []
    asked: list[ChatCompletionChunk] = []

    await client.stream(silent, model="tiny", **STEADY)
    await client.stream(asked, model="tiny", stream_options={"include_usage": True}, **STEADY)

    assert [chunk.usage for chunk in silent if chunk.usage is not None] == []
    assert all(chunk.choices for chunk in silent)
    assert [chunk.usage.completion_tokens for chunk in asked if chunk.usage is not None] == [TOKENS]
    assert asked[-1].choices == []
    assert texts(asked) == texts(silent)
    assert (
        parts.gateway.metric("llm_gateway_tokens_total", model="tiny", type="output") == counted + 2 * TOKENS
    )


async def test_many_streams_at_once_do_not_mix(parts: Parts) -> None:
    async for client in connected("async", f"{parts.gateway.url}/v1"):
        alone: list[ChatCompletionChunk] = []
        await client.stream(alone, model="tiny", **STEADY)
        streams: list[list[ChatCompletionChunk]] = [[] for _ in range(20)]
        await asyncio.gather(*(client.stream(seen, model="tiny", **STEADY) for seen in streams))
        for seen in streams:
            assert len({chunk.id for chunk in seen}) == 1
            assert seen[-1].choices[0].finish_reason == "length"
        assert len({seen[0].id for seen in streams}) == 20


async def test_models_are_listed_and_found_by_name(client: Client) -> None:
    models = await client.models()

    assert [model.id for model in models] == ["echo", "renamed", "smart/model", "tiny"]
    assert {model.id: model.owned_by for model in models}["tiny"] == "llama"
    for name in ("tiny", "smart/model", "llama/tiny", "mock/any-name"):
        model = await client.model(name)
        assert (model.id, model.object) == (name, "model")


async def test_an_unknown_model_is_not_found(parts: Parts, client: Client) -> None:
    with pytest.raises(openai.NotFoundError) as retrieved:
        await client.model("tinny")
    with pytest.raises(openai.NotFoundError) as created:
        await client.create(model="tinny", **STEADY)
    with pytest.raises(openai.NotFoundError):
        await client.stream([], model="tinny", **STEADY)

    for failure in (retrieved.value, created.value):
        assert (failure.code, failure.param) == ("model_not_found", "model")
        assert failure.type == "not_found_error"
        assert "did you mean tiny" in failure.message
    line = parts.gateway.request(str(created.value.request_id))
    assert (line["status"], line["code"], line["http_status"]) == ("client_error", "model_not_found", 404)
    assert (line["model"], line["attempts"]) == ("unknown", 0)


# Fields of a request, and who refuses it: attempts 0 is the gateway, 1 is llama.cpp.
WRONG: dict[str, tuple[dict[str, Any], int]] = {
    "stream_options of a wrong type": ({"stream_options": "all"}, 0),
    "n of a wrong type": ({"n": "two"}, 0),
    "messages of a wrong type": ({"messages": "hello"}, 1),
}


@pytest.mark.parametrize("sentence", WRONG)
async def test_a_wrong_request_is_a_bad_request(parts: Parts, client: Client, sentence: str) -> None:
    fields, attempts = WRONG[sentence]

    with pytest.raises(openai.BadRequestError) as refused:
        await client.create(model="tiny", **STEADY | fields)

    assert refused.value.type == "invalid_request_error"
    assert refused.value.message
    line = parts.gateway.request(str(refused.value.request_id))
    assert (line["status"], line["http_status"], line["attempts"]) == ("client_error", 400, attempts)


# A model of the mock: the error that the client raises, the error's type, the status, and the code of the log.
FAILING: dict[str, tuple[type[openai.APIStatusError], str, int, str]] = {
    "fault-status-429-retry-2": (openai.RateLimitError, "rate_limit_error", 429, "rate_limit_error"),
    "fault-status-500": (openai.InternalServerError, "provider_error", 502, "provider_error"),
    "fault-status-401": (openai.InternalServerError, "provider_error", 502, "provider_error"),
    "fault-status-403": (openai.InternalServerError, "provider_error", 502, "provider_error"),
    "fault-refuse": (openai.InternalServerError, "provider_error", 502, "provider_error"),
    "fault-html": (openai.InternalServerError, "provider_error", 502, "provider_error"),
    "fault-status-422": (
        openai.UnprocessableEntityError,
        "invalid_request_error",
        422,
        "invalid_request_error",
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", FAILING)
async def test_a_failure_has_the_type_that_the_client_knows(
    parts: Parts, client: Client, model: str, stream: bool
) -> None:
    error, kind, status, code = FAILING[model]
    fields: dict[str, Any] = {"model": f"mock/{model}", "messages": [{"role": "user", "content": "hi"}]}

    with pytest.raises(error) as failed:
        await (client.stream([], **fields) if stream else client.create(**fields))

    assert type(failed.value) is error
    assert (failed.value.status_code, failed.value.type) == (status, kind)
    assert failed.value.response.headers.get("retry-after") == ("2" if status == 429 else None)
    line = parts.gateway.request(str(failed.value.request_id))
    assert (line["http_status"], line["code"], line["attempts"]) == (status, code, 1)


BREAKING = {
    "fault-error-event": "stream_interrupted",
    "fault-cut": "stream_interrupted",
    "fault-stall": "provider_timeout",
    "fault-malformed": "stream_interrupted",
}


@pytest.mark.parametrize("model", BREAKING)
async def test_a_stream_that_breaks_raises_after_what_came(parts: Parts, client: Client, model: str) -> None:
    labels = {"provider": "mock", "model": "mock/*"}
    interrupted = parts.gateway.metric("llm_gateway_interrupted_streams_total", **labels)
    seen: list[ChatCompletionChunk] = []

    with pytest.raises(openai.APIError) as failed:
        await client.stream(seen, model=f"mock/{model}", messages=[{"role": "user", "content": "hi"}])

    assert not isinstance(failed.value, openai.APIStatusError)
    assert (failed.value.type, failed.value.code) == ("provider_error", BREAKING[model])
    assert "not complete" in failed.value.message
    assert len("".join(filter(None, texts(seen))).split()) >= 2
    assert all(chunk.choices[0].finish_reason is None for chunk in seen)
    assert parts.gateway.metric("llm_gateway_interrupted_streams_total", **labels) == interrupted + 1


async def test_the_retries_of_the_client_go_on(parts: Parts) -> None:
    """The client's own retries go by the status: the gateway must not turn a passing failure into a lasting one."""
    with openai.OpenAI(base_url=f"{parts.gateway.url}/v1", api_key=KEY, max_retries=1) as client:
        before = parts.gateway.metric("llm_gateway_requests_total", model="mock/*", code="provider_error")
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(
                model="mock/fault-status-503", messages=[{"role": "user", "content": "hi"}]
            )
        after = parts.gateway.metric("llm_gateway_requests_total", model="mock/*", code="provider_error")
    assert after == before + 2


def test_a_missing_part_names_the_command_that_installs_it() -> None:
    with pytest.raises(AssertionError, match=r"nosuchpart not installed: run `.* pip install .*dev.lock`"):
        llama.require("pytest", "nosuchpart")
