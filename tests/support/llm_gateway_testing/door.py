"""The serving port under odd and bad HTTP: one gateway, requests as bytes, and a neighbour whose stream must go on."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_gateway_testing.background import upstream_in_background
from llm_gateway_testing.gateway import RunningGateway, running, wait_for
from llm_gateway_testing.held import Gate, held
from llm_gateway_testing.raw_client import Answer, Closed, RawClient, chat, request
from llm_gateway_testing.upstream import answers
from llm_gateway_testing.upstream import chat as well_behaved

LIMIT = 64 * 1024  # of bodies, as the document has it
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: gateway\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = json.dumps(chat("m")).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
HEAD = LINE + HOST + JSON + LENGTH
CHUNKED = LINE + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"\r\n" + BODY
STOCK = GOOD.replace(HOST, HOST + b"TE: trailers\r\n")  # for the same answer by the other way
PAGE = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
END_OF_STREAM = b"data: [DONE]\n\n"


class Neighbour:
    """A stream that goes on in a thread of its own while the tests misbehave."""

    def __init__(self, port: int, gate: Gate) -> None:
        self._gate = gate
        self.chunks = 0
        self.last = b""
        self.failure: BaseException | None = None
        self._client = RawClient(port)
        self._client.send(request(chat("held", stream=True)))
        assert self._client.head().status == 200
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._client:
                for chunk in self._client.chunks():
                    self.chunks, self.last = self.chunks + 1, chunk
        except BaseException as error:
            self.failure = error

    def lives(self) -> bool:
        seen = self.chunks
        return (
            bool(wait_for("the neighbour's next chunk", lambda: self.failure or self.chunks > seen))
            and not self.failure
        )

    def end(self) -> bytes:
        self._gate.open()
        self._thread.join()
        return self.last


def well(gateway: RunningGateway) -> bool:
    """Nothing unforeseen has happened in the gateway."""
    unforeseen = [
        line for line in gateway.lines() if "unexpected" in line["message"] or "Traceback" in str(line)
    ]
    assert not unforeseen
    assert gateway.errors() == ""
    return gateway.process.poll() is None


def answer_to(gateway: RunningGateway, data: bytes) -> Answer | None:
    """The first answer to `data`, None when the connection is closed without one."""
    with RawClient(gateway.port) as client:
        client.send(data)
        try:
            return client.answer()
        except (Closed, ConnectionResetError):
            return None


def is_error(answer: Answer, status: int) -> bool:
    """An error in OpenAI's shape, as every one must be."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert set(answer.json) == {"error"}
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["type"] in ("invalid_request_error", "not_found_error")
    assert answer.error["message"]
    return True


@contextmanager
def gateway_with_neighbour(folder: Path) -> Iterator[tuple[RunningGateway, Neighbour]]:
    """Models: m, slow (0.3 s), and rejects, breaks, limits, whose upstream answers 400, 500, 429."""
    gate = Gate()
    behaviours = {
        "m": well_behaved(),
        "slow": well_behaved("one two three", pause=0.1),
        "held": held(gate, pause=0.02),
        "rejects": answers(400, b'{"error": {"message": "no such tool", "type": "invalid_request_error"}}'),
        "breaks": answers(500, b"{}"),
        "limits": answers(429, b"{}", b"Retry-After: 7\r\n"),
    }
    with upstream_in_background(behaviours) as upstream:
        text = f"""server:
  port: 0
  metrics_port: 0
  header_timeout: 1s
  max_request_body_size: {LIMIT}B
  cors: {{allow_origins: ["http://page.example"]}}
providers:
  up: {{type: openai_compatible, base_url: '{upstream.base_url}', models: [{", ".join(behaviours)}]}}
"""
        with running(folder, text) as gateway:
            neighbour = Neighbour(gateway.port, gate)
            try:
                yield gateway, neighbour
            finally:
                last = neighbour.end()
            assert neighbour.failure is None
            assert last.endswith(END_OF_STREAM)
