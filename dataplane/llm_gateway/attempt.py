"""One try at one target: send, judge the answer, relay it.

Until the first real content of an answer everything that goes wrong is an `UpstreamFailure`, and another target may
still answer. From then on the client has a part of this target's answer, so a failure is an `Interrupted`.
"""

from collections.abc import Awaitable
from typing import Final, TypeVar

from llm_gateway.call import Call, ClientGone
from llm_gateway.errors import FailureKind, Unavailable, UpstreamFailure
from llm_gateway.providers.base import ChatStream
from llm_gateway.runtime import Gateway, Runtime
from llm_gateway.target import Target, cost
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.upstream.connection import StaleConnection, UpstreamConnection
from llm_gateway.wire.chat import ChatFields, Usage
from llm_gateway.wire.http1 import ResponseHead

T = TypeVar("T")
JSON: Final = b"application/json"
REJECTION_LIMIT = 64 * 1024  # of an error's body; what is longer is no message
PRELUDE_LIMIT = 1024 * 1024  # of events before the first content; real ones take a few hundred bytes
FINISH_WAIT = (
    5.0  # seconds from the finish reason of an answer to usage and terminal event, which may never come
)
BYTES_PER_TOKEN = 4  # for estimates, of a request whose upstream told no usage


class Interrupted(Exception):
    """The answer broke off after some of it had gone to the client."""

    def __init__(self, failure: UpstreamFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Attempt:
    __slots__ = (
        "_call",
        "_deadline",
        "_fields",
        "_gateway",
        "_held",
        "_limits",
        "_now",
        "_record",
        "_sent",
        "_target",
    )

    def __init__(
        self,
        gateway: Gateway,
        runtime: Runtime,
        call: Call,
        fields: ChatFields,
        target: Target,
        record: RequestRecord,
    ) -> None:
        self._gateway = gateway
        self._limits = runtime.config.server
        self._call = call
        self._fields = fields
        self._target = target
        self._record = record
        self._now = gateway.clock.now
        self._deadline = call.received + target.provider.timeouts.total
        self._sent = 0.0
        self._held = 0

    async def run(self) -> None:
        """Returns when the whole answer has gone to the client. Raises UpstreamFailure or Interrupted."""
        connection, head = await self._send()
        rejected = b""
        try:
            if head.status != 200:
                rejected = await self._read_whole(connection, REJECTION_LIMIT, cut=True)
            elif self._fields.stream:
                await self._relay(connection, head)
            else:
                await self._answer(connection, head)
        except BaseException:  # a client that left and a shutdown, too: nobody reads the rest
            connection.abort()
            raise
        finally:
            self._let_go()
            self._record.cost = cost(self._record.usage, self._target.price)
        connection.release()
        if head.status != 200:
            raise self._target.provider.adapter.rejection(head.status, head.headers, rejected)

    async def _send(self) -> tuple[UpstreamConnection, ResponseHead]:
        """Get a connection, write the request, wait for the head of the answer."""
        target, timeouts = self._target, self._target.provider.timeouts
        request = target.provider.adapter.encode(
            self._call.body, self._fields, target.upstream_model, self._call.forwarded
        )
        fresh = False
        while True:
            until = min(self._now() + timeouts.connect, self._deadline)
            connection = await self._waiting(target.pool.acquire(until, fresh=fresh))
            self._sent = self._now()
            connection.send(request)
            try:
                head = await self._waiting(connection.head(self._head_deadline()))
                if head is None:
                    raise self._timeout("headers", timeouts.headers)
                return connection, head
            except StaleConnection:
                # The upstream closed an idle connection just as the request went out; it has not seen it.
                connection.abort()
                fresh = True
            except BaseException:
                connection.abort()
                raise

    def _head_deadline(self) -> float:
        """The head of an answer that does not stream comes with the finished answer: only the total counts there."""
        if not self._fields.stream:
            return self._deadline
        return min(self._sent + self._target.provider.timeouts.headers, self._deadline)

    # An answer in one piece.

    async def _answer(self, connection: UpstreamConnection, head: ResponseHead) -> None:
        """Held whole before any of it is sent: only a whole answer can be known to be one."""
        sink, record = self._call.sink, self._record
        body = await self._read_whole(connection, self._limits.max_response_body_size)
        answer = self._target.provider.adapter.completion(body, head.headers)
        record.usage, record.unknown_finish = answer.usage, answer.unknown_finish
        record.first_token = self._now()
        sink.headers += _headers_for_client(head)
        sink.respond(200, JSON, answer.body)
        record.bytes_out = len(answer.body)
        self._note_overhead()
        while sink.full:  # the body is still in memory, so it still counts as held
            await self._room()

    async def _read_whole(self, connection: UpstreamConnection, limit: int, *, cut: bool = False) -> bytes:
        """The body up to `limit` bytes; a longer one is cut there or refused."""
        parts: list[bytes] = []
        size = 0
        while True:
            part = await self._waiting(connection.read(self._deadline))
            if part is None:
                raise self._timeout("the whole answer", self._target.provider.timeouts.total)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > limit:
                if cut:
                    break
                raise UpstreamFailure(FailureKind.bad_answer, f"sent an answer of more than {limit} bytes")
            self._hold(len(part))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hold(self, size: int) -> None:
        """Count bytes of held answers, over all requests: many large ones at once must not eat up the memory."""
        gateway = self._gateway
        self._held += size
        gateway.held_size += size
        if gateway.held_size > self._limits.max_held_size:
            raise Unavailable(
                "the gateway holds as many answers as it may; stream them, or try again", retry_after=1
            )

    def _let_go(self) -> None:
        self._gateway.held_size -= self._held
        self._held = 0

    # An answer in events.

    async def _relay(self, connection: UpstreamConnection, head: ResponseHead) -> None:
        stream = self._target.provider.adapter.stream(self._fields, head.headers)
        try:
            events, framed = await self._first_content(connection, stream)
            self._call.sink.headers += _headers_for_client(head)
            try:
                await self._relay_rest(connection, stream, events, framed)
            except UpstreamFailure as failure:
                raise Interrupted(failure) from failure
        finally:
            if self._record.first_token is not None:
                self._record.usage = stream.usage or self._estimate(stream)
                self._record.unknown_finish = stream.unknown_finish

    async def _first_content(
        self, connection: UpstreamConnection, stream: ChatStream
    ) -> tuple[bytes, bytes | None]:
        """Events up to and with the first real content; the client has nothing yet, so a failure here costs nothing."""
        timeouts = self._target.provider.timeouts
        until = min(self._now() + timeouts.first_token, self._deadline)
        parts: list[bytes] = []
        framed = None
        while not stream.committed:
            payload = await self._waiting(connection.read(until))
            if payload is None:
                raise self._timeout("the first token", timeouts.first_token)
            if not payload:
                stream.end()
            parts.append(stream.feed(payload))
            framed = connection.framed if len(parts) == 1 and stream.untouched else None
            self._hold(len(parts[-1]))
            if self._held > PRELUDE_LIMIT and not stream.committed:
                raise UpstreamFailure(
                    FailureKind.bad_answer, f"sent {self._held} bytes of events without content"
                )
        self._let_go()
        return b"".join(parts), framed

    async def _relay_rest(
        self, connection: UpstreamConnection, stream: ChatStream, events: bytes, framed: bytes | None
    ) -> None:
        sink, record, now, idle = (
            self._call.sink,
            self._record,
            self._now,
            self._target.provider.timeouts.idle,
        )
        record.first_token = now()
        while not stream.done:
            if events:
                sink.write(events, framed)
                record.bytes_out += len(events)
                if record.overhead is None:
                    self._note_overhead()
            while sink.full:
                await self._room()
            try:
                wait = min(idle, FINISH_WAIT) if stream.finished else idle
                payload = await connection.read(min(now() + wait, self._deadline))
                if payload is None:
                    raise self._timeout("the next event", idle)
            except UpstreamFailure:
                if not stream.finished:
                    raise
                payload = b""  # a finished answer lacks at most its terminal event
            if not payload:
                stream.end()
                events = b""
                break
            try:
                events = stream.feed(payload)
            except UpstreamFailure:
                if stream.salvage:
                    sink.write(stream.salvage)
                raise
            framed = connection.framed if stream.untouched else None
        sink.finish(events + stream.final)
        record.bytes_out += len(events) + len(stream.final)
        if record.overhead is None:
            self._note_overhead()

    def _note_overhead(self) -> None:
        """With the first bytes to the client: what of the time since the request was not the upstream's."""
        self._record.overhead = self._now() - self._call.received - self._call.waited

    async def _waiting(self, event: Awaitable[T]) -> T:
        """Await what the upstream does, and note for how long: it is not our overhead."""
        asked = self._now()
        try:
            return await event
        finally:
            self._call.waited += self._now() - asked

    async def _room(self) -> None:
        """The client does not keep up: read nothing more until it has taken what lies ready."""
        sink = self._call.sink
        if self._now() >= self._deadline:
            sink.abort()
            raise ClientGone
        sink.writable.until = self._deadline
        await sink.writable

    def _estimate(self, stream: ChatStream) -> Usage:
        """Of an answer that broke off, or whose upstream tells no usage: an event is about a token."""
        prompt = len(self._call.body) // BYTES_PER_TOKEN
        return Usage(prompt, stream.deltas, prompt + stream.deltas, 0, 0, estimated=True)

    def _timeout(self, what: str, limit: float) -> UpstreamFailure:
        if self._now() >= self._deadline:
            what, limit = "the whole answer", self._target.provider.timeouts.total
        return UpstreamFailure(FailureKind.timeout, f"timed out after {limit:g} s waiting for {what}")


def _headers_for_client(head: ResponseHead) -> bytes:
    """The few header lines of an upstream that a client may see."""
    request_id = head.headers.get(b"x-request-id", b"")
    lines = b"X-Upstream-Request-ID: %b\r\n" % request_id[:128] if request_id else b""
    elapsed = head.headers.get(b"openai-processing-ms", b"")
    return lines + (b"openai-processing-ms: %b\r\n" % elapsed[:32] if elapsed else b"")
