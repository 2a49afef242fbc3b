"""A transport without a socket: tests are the peer, and look at what the protocol above does with it."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

PEER = ("192.0.2.7", 50123)
LIMIT = 20.0  # seconds


class FakeTransport(asyncio.Transport):
    """As with a real one, nothing is read while paused or after the end, and the end is told in a later turn.

    `writes`: what was handed over, a piece per call; nothing is taken any more once it is closing.
    `unsent`: bytes of it that the peer does not take, as a test says; an orderly end waits for them.
    """

    def __init__(
        self, protocol: asyncio.Protocol, *, on_write: Callable[[bytes], None] = lambda data: None
    ) -> None:
        super().__init__({"peername": PEER})
        self._protocol = protocol
        self._on_write = on_write
        self.writes: list[bytes] = []
        self.unsent = 0
        self.paused = False
        self.ended_writing = False
        self.closing = False
        self.aborted = False
        self.lost = False
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once this holds, which only what the protocol does can bring about."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def connect(self) -> None:
        self._protocol.connection_made(self)

    # The peer.

    def feed(self, data: bytes) -> None:
        assert not self.paused, "a paused transport delivers nothing"
        assert not self.lost, "nothing comes after the end"
        self._protocol.data_received(data)

    def lose(self, error: Exception | None = None) -> None:
        """The peer has gone, at once."""
        if not self.lost:
            self.closing = self.lost = True
            self._changed.set()
            self._protocol.connection_lost(error)

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    # The protocol.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended_writing, "written after write_eof"
        if not self.closing:
            self.writes.append(bytes(data))
            self._on_write(bytes(data))
            self._changed.set()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        self._changed.set()

    def is_reading(self) -> bool:
        return not (self.paused or self.closing)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended_writing = True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.unsent:
                asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.aborted = self.closing = True
        asyncio.get_running_loop().call_soon(self.lose)

    def is_closing(self) -> bool:
        return self.closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_write_buffer_size(self) -> int:
        return self.unsent
