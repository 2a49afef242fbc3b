"""What may go wrong with a request, in two types.

`GatewayError` is what a client may see: status, stable type and code, a public message. `UpstreamFailure` is one
failed attempt at one target; it never reaches a client as it is: `final_error` turns the failures of a request
into one `GatewayError`. Messages of both are public: no key, no address of an upstream.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class GatewayError(Exception):
    """An answer of ours that is an error. Subclasses fix status and type; the odd ones (405) give them."""

    status: int = 500
    type: str = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.type = type or self.type
        self.code = code or self.code
        self.param = param
        self.retry_after = retry_after  # seconds

    def body(self) -> bytes:
        """OpenAI's error object as JSON."""
        return error_body(self.message, self.type, param=self.param, code=self.code)


class BadRequest(GatewayError):
    status = 400
    type = "invalid_request_error"


class ModelNotFound(GatewayError):
    status = 404
    type = "not_found_error"
    code = "model_not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


class RequestTimeout(GatewayError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class PayloadTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"


class UnsupportedMediaType(GatewayError):
    status = 415
    type = "invalid_request_error"


class RateLimited(GatewayError):
    status = 429
    type = "rate_limit_error"


class Internal(GatewayError):
    status = 500
    type = "server_error"


class ProviderFailed(GatewayError):
    status = 502
    type = "provider_error"


class Unavailable(GatewayError):
    status = 503
    type = "server_error"


class ProviderTimeout(GatewayError):
    status = 504
    type = "provider_error"
    code = "provider_timeout"


class Relayed(GatewayError):
    """An upstream's verdict on the client's own request (400, 404, ...): its status and its error object."""

    type = "invalid_request_error"

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message, status=status)
        self._body = body

    def body(self) -> bytes:
        return self._body


class FailureKind(StrEnum):
    connect = "connect"  # no connection: refused, unreachable, DNS, TLS
    reset = "reset"  # the connection went before a whole head or a whole body was there
    timeout = "timeout"
    status = "status"  # answered with a status that says nothing about the request itself
    bad_answer = "bad_answer"  # a 200 that is not a completion
    error_event = "error_event"  # an error inside a stream
    truncated = "truncated"  # a stream that ended before it was finished
    credential = "credential"
    quota = "quota"
    rate_limit = "rate_limit"


class UpstreamFailure(Exception):
    """One attempt failed. `message` continues the sentence "TARGET: ..." and is safe to show."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        relay: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status  # of the upstream's answer
        self.retry_after = retry_after  # seconds
        self.relay = relay  # error body for the client as it is; set only when the request itself is at fault

    @property
    def retryable(self) -> bool:
        """Whether another target may do better. Only a request that is itself wrong fails everywhere."""
        return self.relay is None


class _ErrorObject(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | int | None


class _ErrorBody(msgspec.Struct):
    error: _ErrorObject


_encode = msgspec.json.Encoder().encode


def error_body(message: str, type: str, *, param: str | None = None, code: str | int | None = None) -> bytes:
    """OpenAI's error object as JSON."""
    try:
        return _encode(_ErrorBody(_ErrorObject(message, type, param, code)))
    except UnicodeEncodeError:
        # A lone surrogate in a text that a client or an upstream sent: JSON in UTF-8 cannot carry it.
        code = _clean(code) if isinstance(code, str) else code
        param = None if param is None else _clean(param)
        return _encode(_ErrorBody(_ErrorObject(_clean(message), _clean(type), param, code)))


def final_error(failures: Sequence[tuple[str, UpstreamFailure]]) -> GatewayError:
    """What the client sees when every attempt failed: pairs of target name and failure, as they were tried."""
    if not failures:
        return Unavailable("no target can serve this model now")
    last = failures[-1][1]
    if last.relay is not None:
        return Relayed(last.message, last.status or 400, last.relay)
    message = _summary(failures)
    kinds = {failure.kind for _, failure in failures}
    # A spent quota (429 insufficient_quota) beside a plain 429 does not make waiting pointless; alone it does.
    if FailureKind.rate_limit in kinds and kinds <= {FailureKind.rate_limit, FailureKind.quota}:
        waits = [
            f.retry_after
            for _, f in failures
            if f.kind is FailureKind.rate_limit and f.retry_after is not None
        ]
        return RateLimited(message, retry_after=min(waits, default=None))
    if FailureKind.timeout in kinds:
        return ProviderTimeout(message)
    return ProviderFailed(message)


def _summary(failures: Sequence[tuple[str, UpstreamFailure]]) -> str:
    parts = "; ".join(f"{name}: {failure.message}" for name, failure in failures)
    targets = len({name for name, _ in failures})
    return f"all {targets} targets failed: {parts}" if targets > 1 else parts


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
