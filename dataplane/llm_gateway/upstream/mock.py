"""The mock provider's side of a connection: a transport that plays a script instead of moving bytes.

The connection above cannot tell it from TCP: bytes come in later turns of the loop, a pause stops
them, a close is told once. A script is read only as far as it can be delivered, so a slow client costs
no memory here.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import msgspec

from llm_gateway.drive import Clock
from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.mock import refuses, script
from llm_gateway.providers.mock_steps import Close, Reset, Send, Silence, Step, Wait
from llm_gateway_config import MockOptions, Model, Provider

# Bytes in one delivery, about what a socket gives in one read.
DELIVERY = 64 * 1024
# Seconds: the shortest timer. Many tokens to the millisecond come together, as from a network.
GRAIN = 0.001

_content_length = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE).search


class _Named(msgspec.Struct):
    model: str = ""


_decode_name = msgspec.json.Decoder(_Named).decode


class MockConnector:
    """Connects to one model of a mock provider; `model` None: to any, by the name in each request.

    A model of its own connector, because whether to refuse is decided before there is a request to look at.
    """

    def __init__(
        self, clock: Clock, provider: Provider, model: Model | None, rng: random.Random | None = None
    ) -> None:
        self._clock = clock
        own = model.mock if model is not None else None
        self._options = own or provider.mock or MockOptions()
        self._model = "" if model is None else model.upstream_model or model.name
        self._rng = rng or random.Random()

    async def connect(self, connection: asyncio.Protocol, until: float) -> None:
        """Raises UpstreamFailure(connect) for the fault `refuse`; never takes time."""
        if refuses(self._options, self._model, self._rng):
            raise UpstreamFailure(FailureKind.connect, "could not connect (connection refused)")
        connection.connection_made(MockTransport(self._clock.loop, connection, self._play))

    def _play(self, body: bytes) -> Iterator[Step]:
        request_id = f"{self._rng.getrandbits(64):016x}"
        created = int(time.time())
        return script(body, self._options, _name(body), request_id=request_id, created=created, rng=self._rng)


def _name(body: bytes) -> str:
    try:
        return _decode_name(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The script answers 400, whatever the model.
        return ""


class MockTransport(asyncio.Transport):
    """`play` gets a request's body and returns the steps of the answer; requests are answered in turn."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        play: Callable[[bytes], Iterator[Step]],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: Any = protocol
        self._play = play
        self._received = bytearray()
        self._steps: Iterator[Step] | None = None
        # When the next step is due; falls behind the clock while reading is paused.
        self._due = 0.0
        self._handle: asyncio.Handle | None = None
        self._paused = False
        self._closing = False

    # What the connection calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._received += data
            if self._steps is None:
                self._begin()

    def pause_reading(self) -> None:
        self._paused = True
        self._cancel()

    def resume_reading(self) -> None:
        self._paused = False
        if self._steps is None:
            self._begin()
        else:
            self._schedule()

    def is_reading(self) -> bool:
        return not (self._paused or self._closing)

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered for the other side."""

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    # What the script does.

    def _begin(self) -> None:
        """Start on the next whole request, if one is there."""
        body = self._take_request()
        if body is not None:
            self._steps = self._play(body)
            self._due = self._loop.time()
            self._schedule()

    def _take_request(self) -> bytes | None:
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return None
        length = _content_length(self._received, 0, head_end + 2)
        start = head_end + 4
        end = start + (int(length[1]) if length else 0)
        if len(self._received) < end:
            return None
        body = bytes(self._received[start:end])
        del self._received[:end]
        return body

    def _schedule(self, at_least: float = 0.0) -> None:
        if self._steps is None or self._paused or self._closing or self._handle is not None:
            return
        wait = max(self._due - self._loop.time(), at_least)
        if wait > 0:
            self._handle = self._loop.call_later(wait, self._advance)
        else:
            self._handle = self._loop.call_soon(self._advance)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _advance(self) -> None:
        """Deliver what is due by now, in one piece; then wait, end, or take the next request."""
        self._handle = None
        data, last = self._collect()
        if data:
            # This may pause, close, or write the next request.
            self._protocol.data_received(data)
        if self._closing or self._paused:
            return
        match last:
            case Close():
                self._end(None)
            case Reset():
                self._end(ConnectionResetError("reset by the mock"))
            case Silence():
                pass
            case Wait():
                self._schedule(GRAIN)
            case _ if self._steps is None:
                self._begin()
            case _:
                self._schedule()

    def _collect(self) -> tuple[bytes, Step | None]:
        """Bytes that are due, and the step that comes then: None after a full delivery or the last step."""
        pieces: list[bytes] = []
        size = 0
        now = self._loop.time()
        while self._steps is not None and size < DELIVERY:
            step = next(self._steps, None)
            match step:
                case Send(data):
                    pieces.append(data)
                    size += len(data)
                case Wait(seconds):
                    self._due += seconds
                    if self._due > now:
                        return b"".join(pieces), step
                case None:
                    self._steps = None
                case _:
                    # Nothing follows it, and while paused it waits to be taken again.
                    self._steps = repeat(step)
                    return b"".join(pieces), step
        return b"".join(pieces), None

    def _end(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._cancel()
            self._steps = None
            self._loop.call_soon(self._protocol.connection_lost, error)
