"""The record of one request: filled in while it runs, read once when it has ended.

Moments are seconds of `time.monotonic()`, one clock for all of them; the log turns them into wall-clock time.
A msgspec Struct because it is made once per request on the hot path: its defaults cost nothing.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from llm_gateway.wire.chat import Usage

# error: gateway or upstream at fault, interrupted streams too. client_error: the caller's 4xx, disconnects.
Status = Literal["success", "error", "client_error"]


class RequestRecord(msgspec.Struct, gc=False):
    """Facts of one request. `model`, `provider` and `code` become labels: never a client's own text."""

    request_id: str
    # When the whole request had been read.
    started: float
    # IP address of the client, as the gateway sees it.
    client: str = ""
    # The model asked for, when the configuration knows that name; for any other name "unknown".
    model: str = "unknown"
    # Provider and model of the last target tried; empty when none was.
    provider: str = ""
    target_model: str = ""
    stream: bool = False
    # Targets tried, the last one included; 0 when the request was refused before any.
    attempts: int = 0
    # First real content of the answer; the upstream's whole answer where it does not stream. None: none came.
    first_token: float | None = None
    # Last byte handed to the client's socket, or the moment the request was given up.
    ended: float = 0.0
    # Seconds that the gateway itself added to the time that the upstream took. None: no upstream was reached.
    overhead: float | None = None
    status: Status = "success"
    # "ok", or the error's stable code, like "provider_timeout"; from a fixed set.
    code: str = "ok"
    # Status of the response line; 0 when the client left before one was written.
    http_status: int = 200
    # None: the answer had none and none was estimated.
    usage: "Usage | None" = None
    # US dollars. None: no usage, or the model has no price.
    cost: Decimal | None = None
    # Bytes of the response body.
    bytes_out: int = 0
    # Why a stream that had begun did not end well: "upstream", "timeout", "client" or "shutdown".
    # None: it never began, or it ended well.
    interrupted: str | None = None
    # The upstream's own word for why the answer ended, shortened, where the client was told `length` instead.
    unknown_finish: str | None = None
    # What the client was told, or would have been; free of secrets. Empty: no error.
    error: str = ""
