"""A client on a blocking socket: sends any bytes, reads answers strictly, and sees how a connection ends."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

PATIENCE = 20.0  # seconds without a byte after which a test fails


class Closed(Exception):
    """The server ended the connection where more was expected."""


@dataclass
class Answer:
    """`headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error


class RawClient:
    """One connection. Use as a context manager."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, name: str = "localhost") -> None:
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(plain, server_hostname=name) if tls is not None else plain
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_slowly(self, data: bytes, step: int, pause: float = 0.0) -> None:
        for start in range(0, len(data), step):
            self.send(data[start : start + step])
            time.sleep(pause)

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise Closed
        self._unread += piece

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._more()
        line, _, self._unread = self._unread.partition(end)
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._more()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def head(self) -> Answer:
        """The next answer without its body. Raises Closed."""
        line, *fields = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        assert line.startswith("HTTP/1.1 "), line
        pairs = [field.partition(":") for field in fields]
        names = [name.lower() for name, _, _ in pairs]
        assert len(set(names)) == len(names), f"a header twice: {fields}"
        return Answer(int(line[9:12]), {name.lower(): value.strip() for name, _, value in pairs})

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a body whose head has been read. Raises Closed when it breaks off."""
        while size := int(self._until(b"\r\n"), 16):
            yield self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"

    def answer(self, *, bodyless: bool = False) -> Answer:
        """The next whole answer; `bodyless` when it is one to HEAD. Raises Closed when it breaks off."""
        answer = self.head()
        if bodyless or answer.status == 100:
            return answer
        if answer.headers.get("transfer-encoding") == "chunked":
            answer.body = b"".join(self.chunks())
        elif "content-length" in answer.headers:
            answer.body = self._exactly(int(answer.headers["content-length"]))
        else:
            answer.body = self.rest()
        return answer

    def rest(self) -> bytes:
        """All that still comes, to the end of the connection. A reset is a ConnectionResetError."""
        try:
            while True:
                self._more()
        except Closed:
            data, self._unread = self._unread, b""
            return data

    def ask(self, body: Mapping[str, Any], **headers: str) -> Answer:
        self.send(request(body, **headers))
        return self.answer()


def request(body: Mapping[str, Any], **headers: str) -> bytes:
    """A chat completion in the usual spelling; `_` in the name of a header stands for `-`."""
    return framed(json.dumps(body).encode(), **headers)


def framed(body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%b\r\n%b" % (len(body), lines.encode(), body)
    )


def chat(model: str, text: str = "hi", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def exchange(port: int, data: bytes) -> Answer:
    """One request on a connection of its own, among many at once. Raises IncompleteReadError when it breaks off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        answer = Answer(int(line[9:12]), {name.lower(): value.strip() for name, _, value in pairs})
        if answer.headers.get("transfer-encoding") != "chunked":
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
            return answer
        while size := int(await reader.readuntil(b"\r\n"), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return answer
    finally:
        writer.close()
