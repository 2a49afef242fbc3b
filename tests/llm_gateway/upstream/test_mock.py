"""The mock's transport, played into a protocol that writes down what happens to it."""

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from llm_gateway.drive import Clock
from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.mock_steps import Close, Reset, Send, Silence, Step, Wait
from llm_gateway.upstream.connection import UpstreamConnection
from llm_gateway.upstream.mock import DELIVERY, MockConnector, MockTransport
from llm_gateway.upstream.pool import Pool
from llm_gateway_config import Provider

REQUEST = b"POST / HTTP/1.1\r\nHost: mock.invalid\r\nContent-Length: 5\r\n\r\nhello"


class Recorder(asyncio.Protocol):
    """Events in order; `on_data` reacts inside `data_received`, as the gateway does."""

    def __init__(self, on_data: Callable[[], None] = lambda: None) -> None:
        self.pieces: list[bytes] = []
        self.lost: list[Exception | None] = []
        self.on_data = on_data
        self._changed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        self.pieces.append(data)
        self.on_data()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self._changed.set()

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def playing(*steps: Step) -> Callable[[bytes], Iterator[Step]]:
    return lambda body: iter(steps)


def connected(play: Callable[[bytes], Iterator[Step]]) -> tuple[Recorder, MockTransport]:
    recorder = Recorder()
    return recorder, MockTransport(asyncio.get_running_loop(), recorder, play)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_an_answer_comes_in_a_later_turn_and_in_one_piece() -> None:
    recorder, transport = connected(playing(Send(b"a"), Send(b"b")))
    transport.write(REQUEST)
    assert recorder.pieces == []
    await recorder.until(lambda: bool(recorder.pieces))
    assert recorder.pieces == [b"ab"]
    assert not transport.is_closing()


PIECES = {
    "in one piece": [REQUEST],
    "byte by byte": [REQUEST[i : i + 1] for i in range(len(REQUEST))],
    "head and body apart": [REQUEST[:-5], REQUEST[-5:]],
}


@pytest.mark.parametrize("sentence", PIECES)
async def test_the_script_gets_the_body_once_it_is_whole(sentence: str) -> None:
    bodies: list[bytes] = []

    def play(body: bytes) -> Iterator[Step]:
        bodies.append(body)
        return iter([Send(b"ok")])

    recorder, transport = connected(play)
    *first, last = PIECES[sentence]
    for piece in first:
        transport.write(piece)
    await turns()
    assert bodies == []
    transport.write(last)
    await recorder.until(lambda: bool(recorder.pieces))
    assert bodies == [b"hello"]


async def test_requests_are_answered_one_after_the_other() -> None:
    number = count(1)
    recorder, transport = connected(lambda body: iter([Send(b"%d;" % next(number))]))
    transport.write(REQUEST + REQUEST)
    await recorder.until(lambda: recorder.data == b"1;2;")
    transport.write(REQUEST)
    await recorder.until(lambda: recorder.data == b"1;2;3;")
    assert recorder.lost == []


async def test_a_request_written_from_within_data_received_is_answered() -> None:
    number = count(1)
    recorder, transport = connected(lambda body: iter([Send(b"%d;" % next(number))]))
    recorder.on_data = lambda: transport.write(REQUEST) if len(recorder.pieces) < 3 else None
    transport.write(REQUEST)
    await recorder.until(lambda: recorder.data == b"1;2;3;")


ENDS: dict[str, tuple[Step, type[Exception] | None]] = {
    "an orderly end": (Close(), None),
    "a reset": (Reset(), ConnectionResetError),
}


@pytest.mark.parametrize("sentence", ENDS)
async def test_ends_come_after_the_bytes_before_them(sentence: str) -> None:
    step, error = ENDS[sentence]
    recorder, transport = connected(playing(Send(b"half"), step, Send(b"never")))
    transport.write(REQUEST)
    await recorder.until(lambda: bool(recorder.lost))
    await turns()
    assert recorder.data == b"half"
    assert [None if exc is None else type(exc) for exc in recorder.lost] == [error]
    assert transport.is_closing()


async def test_silence_lasts_until_the_connection_is_given_up() -> None:
    recorder, transport = connected(playing(Send(b"half"), Silence(), Send(b"never")))
    transport.write(REQUEST)
    await recorder.until(lambda: recorder.data == b"half")
    transport.pause_reading()
    transport.resume_reading()
    await turns()
    assert (recorder.data, recorder.lost) == (b"half", [])
    transport.abort()
    await turns()
    assert recorder.lost == [None]


def give_up_twice(transport: MockTransport) -> None:
    transport.close()
    transport.abort()
    transport.write(REQUEST)


GIVING_UP: dict[str, Callable[[MockTransport], None]] = {
    "abort": MockTransport.abort,
    "close": MockTransport.close,
    "both, and a request after them": give_up_twice,
}


@pytest.mark.parametrize("sentence", GIVING_UP)
async def test_giving_up_stops_the_script_and_is_told_once(sentence: str) -> None:
    recorder, transport = connected(
        lambda body: (step for _ in count() for step in (Send(b"x"), Wait(0.001)))
    )
    transport.write(REQUEST)
    await recorder.until(lambda: len(recorder.pieces) >= 2)
    GIVING_UP[sentence](transport)
    assert recorder.lost == []
    received = len(recorder.pieces)
    await asyncio.sleep(0.02)
    assert recorder.lost == [None]
    assert len(recorder.pieces) == received


async def test_giving_up_from_within_data_received() -> None:
    recorder, transport = connected(playing(Send(b"x"), Reset()))
    recorder.on_data = transport.abort
    transport.write(REQUEST)
    await recorder.until(lambda: bool(recorder.lost))
    await turns()
    assert recorder.lost == [None]


async def test_a_paused_connection_reads_no_further_in_the_script() -> None:
    taken = count()
    made: list[int] = []

    def play(body: bytes) -> Iterator[Step]:
        for number in taken:
            made.append(number)
            yield Send(b"x" * 16 * 1024)

    recorder, transport = connected(play)
    recorder.on_data = transport.pause_reading
    transport.write(REQUEST)
    await recorder.until(lambda: bool(recorder.pieces))
    await asyncio.sleep(0.02)
    assert len(recorder.pieces) == 1
    assert len(made) * 16 * 1024 <= DELIVERY
    assert not transport.is_reading()
    transport.resume_reading()
    await recorder.until(lambda: len(recorder.pieces) == 2)
    transport.abort()


PAUSED: dict[str, tuple[Step | None, bool]] = {
    "an end of the connection": (Close(), True),
    "the end of an answer": (None, False),
}


@pytest.mark.parametrize("sentence", PAUSED)
async def test_what_came_while_paused_comes_after_resuming(sentence: str) -> None:
    step, ends = PAUSED[sentence]
    recorder, transport = connected(playing(Send(b"x"), *([] if step is None else [step])))
    recorder.on_data = transport.pause_reading
    transport.write(REQUEST + REQUEST)
    await recorder.until(lambda: bool(recorder.pieces))
    await turns()
    assert (recorder.data, recorder.lost) == (b"x", [])
    transport.resume_reading()
    await recorder.until(lambda: bool(recorder.lost) if ends else recorder.data == b"xx")


async def test_waits_are_kept() -> None:
    loop = asyncio.get_running_loop()
    recorder, transport = connected(playing(Send(b"a"), Wait(0.05), Send(b"b")))
    began = loop.time()
    transport.write(REQUEST)
    await recorder.until(lambda: recorder.data == b"a")
    await recorder.until(lambda: recorder.data == b"ab")
    assert loop.time() - began >= 0.049
    assert recorder.pieces == [b"a", b"b"]


async def test_many_tokens_to_the_millisecond_share_a_timer() -> None:
    tokens = 20_000
    steps = [step for _ in range(tokens) for step in (Send(b"x"), Wait(1e-5))]
    recorder, transport = connected(playing(*steps))
    transport.write(REQUEST)
    await recorder.until(lambda: len(recorder.data) == tokens)
    # 0.2 s of tokens: one delivery a millisecond at most, fewer on a busy machine.
    assert len(recorder.pieces) <= 250


async def test_what_asyncio_asks_of_a_transport() -> None:
    recorder, transport = connected(playing())
    assert transport.get_extra_info("peername") is None
    assert transport.get_extra_info("peername", "x") == "x"
    assert transport.get_write_buffer_size() == 0
    assert transport.get_protocol() is recorder
    assert transport.is_reading()
    other = Recorder()
    transport.set_protocol(other)
    transport.close()
    await turns()
    assert (recorder.lost, other.lost) == ([], [None])


# The connector, under the gateway's own connection.


def provider(**fields: Any) -> Provider:
    return Provider.model_validate({"type": "mock", **fields})


def connector(config: Provider, model: str | None) -> MockConnector:
    found = next((known for known in config.models if known.name == model), None)
    return MockConnector(Clock(asyncio.get_running_loop()), config, found, random.Random(1))


def plain_request(model: str) -> bytes:
    body = b'{"model":"%s","messages":[{"role":"user","content":"hi"}]}' % model.encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def answered(connecting: MockConnector, model: str) -> bytes:
    recorder = Recorder()
    made: list[asyncio.Transport] = []
    recorder.connection_made = made.append  # type: ignore[method-assign,assignment]
    await connecting.connect(recorder, 0.0)
    made[0].write(plain_request(model))
    await recorder.until(lambda: bool(recorder.pieces or recorder.lost))
    return recorder.data


REFUSED = {
    "the model's name": (provider(models=["fault-refuse"]), "fault-refuse"),
    "the upstream's name of the model": (
        provider(models=[{"name": "chat", "upstream_model": "fault-refuse"}]),
        "chat",
    ),
    "the provider's options": (provider(models=["echo"], mock={"fault": {"kind": "refuse"}}), "echo"),
    "the provider's options, for any model": (
        provider(models=["x"], mock={"fault": {"kind": "refuse"}}),
        None,
    ),
    "the model's options": (provider(models=[{"name": "a", "mock": {"fault": {"kind": "refuse"}}}]), "a"),
}


@pytest.mark.parametrize("sentence", REFUSED)
async def test_a_connection_can_be_refused_by(sentence: str) -> None:
    config, model = REFUSED[sentence]
    with pytest.raises(UpstreamFailure) as failure:
        await connector(config, model).connect(Recorder(), 0.0)
    assert failure.value.kind is FailureKind.connect


async def test_a_models_options_take_the_place_of_the_providers() -> None:
    models = [{"name": "a", "mock": {"answer_tokens": 1}}, "b"]
    config = provider(models=models, mock={"fault": {"kind": "refuse"}})
    assert b'"completion_tokens":1,' in await answered(connector(config, "a"), "a")


async def test_any_model_of_a_provider_is_taken_from_the_request() -> None:
    anyone = connector(provider(models=["x"]), None)
    assert b'"content":"hi"' in await answered(anyone, "echo")
    assert b"HTTP/1.1 503 " in await answered(anyone, "fault-status-503")
    assert await answered(anyone, "fault-refuse") == b""


async def test_a_pooled_connection_is_used_again() -> None:
    clock = Clock(asyncio.get_running_loop())
    pool = Pool(clock, MockConnector(clock, provider(models=["echo"]), None))
    first = await pool.acquire(clock.now() + 5)
    for _ in range(3):
        connection = await pool.acquire(clock.now() + 5) if first.used else first
        assert connection is first
        connection.send(plain_request("echo"))
        assert b'"content":"hi"' in await whole_answer(connection)
        connection.release()
    assert not first.closed


async def whole_answer(connection: UpstreamConnection) -> bytes:
    """Without a Drive: everything has come after some turns of the loop, so nothing has to be waited for."""
    await turns(10)
    with pytest.raises(StopIteration) as head:
        connection.head(0.0).send(None)
    assert head.value.value.status == 200
    with pytest.raises(StopIteration) as body:
        connection.read(0.0).send(None)
    payload: bytes = body.value.value
    return payload
