"""A provider on a raw socket that does on cue what real ones do by accident.

The model that a request names chooses the behaviour, so that one gateway and one document serve a whole table of
faults. A behaviour writes the bytes itself; nothing of an HTTP library stands between it and the socket.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Request:
    """One request as it came in; `headers` have lower-case names."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content


@dataclass
class Peer:
    """The gateway's side of one connection, for a behaviour to write to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Request
    served: int  # requests before this one on the same connection
    go_on: asyncio.Event  # the upstream's

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Returns when the gateway closes its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(4096):
                pass


# A behaviour returns True when the connection can carry another request.
Behaviour = Callable[[Peer], Awaitable[bool]]


@dataclass
class Upstream:
    """`async with Upstream({"model": behaviour}) as upstream:` then `upstream.base_url`."""

    behaviours: dict[str, Behaviour]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0  # accepted so far
    open: int = 0  # open now
    go_on: asyncio.Event = field(default_factory=asyncio.Event)  # what behaviours wait for, and tests set
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**26, ssl=self.tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1" if self.tls is None else f"https://localhost:{self.port}/v1"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: a task that is cancelled before it began would leave its connection open.
        self._writers.add(writer)
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        served = 0
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                behave = self.behaviours[request.json["model"]]
                if not await behave(Peer(reader, writer, request, served, self.go_on)):
                    break
                served += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(line, headers, body)


# What behaviours are made of.

JSON_HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


def completion(text: str = "hello", **more: Any) -> bytes:
    """A whole chat completion."""
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    return json.dumps(answer | more).encode()


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream; `choices=[]` by `more` makes one without content."""
    chunk: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk | more).encode() + b"\n\n"


ROLE = event({"role": "assistant", "content": ""})
STOP = event({}, "stop")
USAGE = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})


def framed(*parts: bytes) -> bytes:
    """Each part a chunk of HTTP's chunked coding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def words(*texts: str) -> bytes:
    return b"".join(event({"content": text}) for text in texts)


def answers(status: int, body: bytes, headers: bytes = b"") -> Behaviour:
    """One whole answer; the connection stays."""

    async def behave(peer: Peer) -> bool:
        await peer.send(JSON_HEAD % (status, len(body), headers) + body)
        return True

    return behave


def streams(*pieces: bytes, pause: float = 0.0, end: bytes = END) -> Behaviour:
    """A stream whose body is these pieces, a chunk each; `end` b"" leaves it open-ended and closes."""

    async def behave(peer: Peer) -> bool:
        await peer.send(SSE_HEAD)
        for piece in pieces:
            await peer.chunk(piece)
            await asyncio.sleep(pause)
        await peer.send(end)
        return end == END

    return behave


def chat(text: str = "hello", pause: float = 0.0) -> Behaviour:
    """A well-behaved server: streams when asked to, with usage when asked for."""

    async def behave(peer: Peer) -> bool:
        request = peer.request.json
        if not request.get("stream"):
            return await answers(200, completion(text))(peer)
        usage = USAGE if (request.get("stream_options") or {}).get("include_usage") else b""
        pieces = [ROLE, *(words(word) for word in text.split(" ")), STOP, usage, DONE]
        return await streams(*filter(None, pieces), pause=pause)(peer)

    return behave
