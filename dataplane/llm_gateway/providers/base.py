"""What the request path asks of a provider. Adapters hold no connection, await nothing and read no clock.

An adapter is made once per provider and configuration and serves all its requests; a `ChatStream` per attempt.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from llm_gateway.errors import UpstreamFailure
from llm_gateway.wire.chat import ChatFields, Usage


class WholeAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer in one piece. `usage` None: it tells none. `unknown_finish`: as in `ChatStream`."""

    body: bytes  # for the client
    usage: Usage | None = None
    unknown_finish: str | None = None


class ChatStream(Protocol):
    """State of one streamed answer."""

    final: bytes  # the event that ends a finished stream
    committed: bool  # real content was seen: from here on the answer is this target's
    finished: bool  # every choice has its finish reason
    done: bool  # the upstream's own terminal event was seen
    untouched: (
        bool  # the last feed returned exactly the payload it got: its framing can be relayed as it came
    )
    deltas: int  # events with content so far, about one token each
    usage: Usage | None
    finish_reasons: dict[int, str]  # by index of the choice, as the client sees them
    unknown_finish: str | None  # the upstream's own word, shortened, where clients are told `length`
    salvage: bytes  # whole events that came before the failure, in the feed that raised it

    def feed(self, payload: bytes) -> bytes:
        """Take body bytes (transfer coding removed), split anywhere; return whole events for the client.

        The terminal event is never among them. Raises UpstreamFailure: error_event for an error inside the
        stream, bad_answer for what is no chat stream.
        """
        ...

    def end(self) -> None:
        """The upstream's body is over. Raises UpstreamFailure unless the answer is whole."""
        ...


class Adapter(Protocol):
    def encode(self, body: bytes, fields: ChatFields, model: str, headers: bytes) -> bytes:
        """The whole HTTP/1.1 request, head and body, for one write.

        `model` is the name that the upstream knows; `headers` are the client's lines that pass, CRLF included.
        """
        ...

    def rejection(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> UpstreamFailure:
        """Classify an answer whose status is not 200. Header names are lower case."""
        ...

    def completion(self, body: bytes, headers: Mapping[bytes, bytes]) -> WholeAnswer:
        """Check a 200 that does not stream. Raises UpstreamFailure(bad_answer)."""
        ...

    def stream(self, fields: ChatFields, headers: Mapping[bytes, bytes]) -> ChatStream:
        """The reader of a 200 that streams. Raises UpstreamFailure(bad_answer) when its headers rule that out."""
        ...
