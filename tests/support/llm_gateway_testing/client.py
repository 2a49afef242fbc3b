"""A client on a raw socket: what tests compare byte by byte should not have been through an HTTP library.

Reading is strict: an answer whose framing is wrong, or that ends too early, fails the test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

LIMIT = 30.0  # seconds for one answer
PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names, equal ones joined by a comma; `body` is without transfer coding."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    @property
    def data(self) -> list[bytes]:
        """The data of a stream's events, in order, without comments; each event must be whole."""
        assert self.body.endswith(b"\n\n"), self.body[-100:]
        events = self.body.replace(b"\r\n", b"\n").split(b"\n\n")
        return [event.removeprefix(b"data: ") for event in events if event.startswith(b"data: ")]

    @property
    def done(self) -> bool:
        return b"[DONE]" in self.data

    @property
    def text(self) -> str:
        """The content of a completion, or of all events of a stream."""
        if "event-stream" not in self.headers["content-type"]:
            return str(self.json["choices"][0]["message"]["content"])
        chunks = [json.loads(data) for data in self.data if data != b"[DONE]"]
        choices = [choice for chunk in chunks for choice in chunk.get("choices", [])]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def error(self) -> dict[str, Any]:
        """The error object: of the whole answer, or of the last event of a stream."""
        last = self.data[-1] if "event-stream" in self.headers["content-type"] else self.body
        error: dict[str, Any] = json.loads(last)["error"]
        return error


@dataclass
class Open:
    """A request that is under way."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> Answer:
        status, headers = await self.head()
        return Answer(status, headers, await self.body(headers))

    async def head(self) -> tuple[int, dict[str, str]]:
        line, *lines = (
            (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        )
        headers: dict[str, str] = {}
        for name, value in (line.split(": ", 1) for line in lines):
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        return int(line.split(" ")[1]), headers

    async def body(self, headers: Mapping[str, str]) -> bytes:
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        if "transfer-encoding" not in headers:
            return await self.reader.read()
        return b"".join([part async for part in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body, as they come."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readexactly(2) == b"\r\n"

    async def until(self, text: bytes) -> bytes:
        """Read chunks until their bytes hold `text`; returns them."""
        seen = b""
        async for part in self.chunks():
            seen += part
            if text in seen:
                return seen
        raise AssertionError(f"the answer ended without {text!r}: {seen[-200:]!r}")


def chat_body(model: str, **fields: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


def request(body: bytes, headers: bytes = b"", method: str = "POST", path: str = PATH) -> bytes:
    """`headers`: whole lines, beside those that every request has."""
    head = (
        b"%b %b HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    )
    return head % (method.encode(), path.encode(), len(body), headers) + body


@asynccontextmanager
async def opened(port: int, data: bytes) -> AsyncIterator[Open]:
    """Send `data` on a new connection, which is closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        writer.write(data)
        async with asyncio.timeout(LIMIT):
            yield Open(reader, writer)
    finally:
        writer.transport.abort()


async def send(port: int, data: bytes) -> Answer:
    async with opened(port, data) as call:
        return await call.answer()


async def ask(port: int, model: str, *, headers: bytes = b"", **fields: Any) -> Answer:
    """One chat completion on a connection of its own."""
    return await send(port, request(chat_body(model, **fields), headers))
