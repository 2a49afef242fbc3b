"""Chat completions that are refused before their body is read: the caller's fault, but seen in log and metrics."""

from collections.abc import Iterator

import pytest

from llm_gateway_testing.gateway import ANY_PORT, RunningGateway, running, wait_for
from llm_gateway_testing.raw_client import RawClient

DOCUMENT = ANY_PORT + "providers: {mock: {type: mock, models: [echo]}}\n"
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
JSON = b"Content-Type: application/json\r\n"

REFUSED = {
    "a content type that is not JSON": (b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
    "a coding that nobody undoes": (JSON + b"Content-Encoding: x\r\nContent-Length: 2\r\n\r\n{}", 415),
    "a body that is too long": (JSON + b"Content-Length: 99999999\r\n\r\n", 413),
    "an expectation": (JSON + b"Expect: tea\r\nContent-Length: 2\r\n\r\n{}", 417),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("gateway"), DOCUMENT) as gateway:
        yield gateway


@pytest.mark.parametrize(("rest", "status"), REFUSED.values(), ids=REFUSED)
def test_it_is_logged_and_counted(gateway: RunningGateway, rest: bytes, status: int) -> None:
    before = gateway.metric("llm_gateway_requests_total", status="client_error", provider="none")
    with RawClient(gateway.port) as client:
        client.send(LINE + rest)
        answer = client.answer()
    assert answer.status == status
    line = gateway.request(answer.headers["x-request-id"])
    assert (line["status"], line["http_status"], line["attempts"]) == ("client_error", status, 0)
    wait_for(
        "the request to be counted",
        lambda: gateway.metric("llm_gateway_requests_total", status="client_error", provider="none") > before,
    )
