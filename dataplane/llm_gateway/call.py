"""One request as the path sees it, and where its answer goes."""

from typing import Protocol

from llm_gateway.drive import Signal
from llm_gateway.errors import GatewayError, Unavailable


class ClientGone(Exception):
    """The client closed its connection: nobody reads the answer any more."""


class ShuttingDown(Unavailable):
    """The drain time is over and the request is not."""


class Sink(Protocol):
    """The client's side of one answer: `respond` whole, or `stream` and then `write`s and a `finish`.

    `headers`: whole header lines to go out with the head. `full`: the client does not keep up; await `writable`
    before writing more. `started`: a status line has gone out (a heartbeat may have sent it), so an error can only be
    told inside the stream.
    """

    headers: bytes
    full: bool
    started: bool
    writable: Signal

    def respond(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send one whole answer."""

    def stream(self) -> None:
        """This answer will be a stream of events: keep it alive while nothing comes."""

    def write(self, payload: bytes, framed: bytes | None = None) -> None:
        """Send whole events; `framed` is the same payload in chunk framing, if it came in one."""

    def finish(self, final: bytes) -> None:
        """Send the last bytes and end the stream."""

    def fail(self, error: GatewayError) -> None:
        """Send an error: as a response, or as the last event of a stream that has begun."""

    def abort(self) -> None:
        """Close the client's connection at once."""


class Call:
    """`received`: the clock's time when the request was whole. `forwarded`: header lines for the upstream.

    `waited`: seconds, up to the first content, that were spent waiting for upstreams and not working.
    """

    __slots__ = ("body", "client", "forwarded", "received", "request_id", "sink", "waited")

    def __init__(
        self, body: bytes, request_id: str, forwarded: bytes, client: str, received: float, sink: Sink
    ) -> None:
        self.body = body
        self.request_id = request_id
        self.forwarded = forwarded
        self.client = client
        self.received = received
        self.waited = 0.0
        self.sink = sink
