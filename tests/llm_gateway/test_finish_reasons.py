"""Finish reasons that OpenAI's clients do not know: what a client, the log and the metrics are told of them."""

from collections.abc import Iterator

import pytest

from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running, wait_for
from llm_gateway_testing.raw_client import RawClient, chat, request
from llm_gateway_testing.upstream import DONE, ROLE, Peer, answers, completion, event, streams, words

ABORT = event({}, "abort")
BODY = completion().replace(b'"stop"', b'"abort"')


async def behave(peer: Peer) -> bool:
    """Answers, whole or in a stream, that end with `abort`."""
    if peer.request.json.get("stream"):
        return await streams(ROLE, words("hello"), ABORT, DONE)(peer)
    return await answers(200, BODY)(peer)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with upstream_in_background({"m": behave}) as upstream:
        provider = f"{{type: openai_compatible, base_url: '{upstream.base_url}', models: [m]}}"
        text = f"{ANY_PORT}providers: {{up: {provider}}}\n"
        with running(tmp_path_factory.mktemp("gateway"), text) as gateway:
            yield gateway


def told(data: bytes) -> bytes:
    return data.replace(b'"abort"', b'"length","native_finish_reason":"abort"')


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_is_told_length_and_the_word_beside_it(gateway: RunningGateway, stream: bool) -> None:
    def counted() -> float:
        return gateway.metric("llm_gateway_unknown_finish_reasons_total", provider="up", model="m")

    before = counted()
    with RawClient(gateway.port) as client:
        client.send(request(chat("m", stream=stream)))
        answer = client.answer()
    expected = ROLE + words("hello") + told(ABORT) + DONE if stream else told(BODY)
    assert (answer.status, answer.body) == (200, expected)
    line = gateway.request(answer.headers["x-request-id"])
    assert (line["status"], line["native_finish_reason"]) == ("success", "abort")
    assert line["bytes_out"] == len(expected)
    assert wait_for("the answer to be counted", lambda: counted() == before + 1)
