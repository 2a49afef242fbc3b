"""The path of one request, from its bytes to its settled record, on one screen.

A coroutine that sockets drive (see `drive`): it may await only signals.
"""

from collections.abc import Sequence

from llm_gateway.attempt import Attempt, Interrupted
from llm_gateway.call import Call, ClientGone, ShuttingDown
from llm_gateway.errors import (
    BadRequest,
    FailureKind,
    GatewayError,
    Internal,
    ProviderFailed,
    ProviderTimeout,
    Relayed,
    UpstreamFailure,
    final_error,
)
from llm_gateway.routing import order
from llm_gateway.runtime import Gateway, Runtime
from llm_gateway.target import Target
from llm_gateway.telemetry.record import RequestRecord
from llm_gateway.wire.chat import ChatFields, parse_request


async def handle(call: Call, gateway: Gateway) -> None:
    """Answer one chat completion. Returns when the answer has gone out, whatever it was."""
    runtime = gateway.runtime  # the request keeps it: a document loaded meanwhile is for the next request
    record = RequestRecord(call.request_id, call.received, call.client)
    try:
        # The place of identifying the caller, then of the limits that admit it, then of the cache.
        fields = parse_request(call.body)  # a request that no target could read costs no attempt
        route = runtime.routes.find(fields.model)
        record.model = route.label
        if fields.stream:
            record.stream = True
            call.sink.stream()  # from here on heartbeats keep the client's connection alive
        await try_targets(gateway, runtime, call, fields, order(route, gateway.random), record)
    except ClientGone:
        _client_left(call, record)
    except GatewayError as error:
        _answer_with(call, record, error)
    except Exception as error:
        gateway.report(error, call.request_id)
        _answer_with(
            call, record, Internal("the gateway failed; its log has the reason under this request id")
        )
    finally:
        # Success or failure is known only now, at the end of the answer, not at its head.
        record.ended = gateway.clock.now()
        gateway.settle(record)


async def try_targets(
    gateway: Gateway,
    runtime: Runtime,
    call: Call,
    fields: ChatFields,
    targets: Sequence[Target],
    record: RequestRecord,
) -> None:
    """Target after target until one answers. Raises GatewayError when none does, or one breaks off.

    Between two attempts is the place of backoff and of another try at the same target, before one that of its breaker.
    """
    failures: list[tuple[str, UpstreamFailure]] = []
    for target in targets:
        if failures and gateway.clock.now() >= call.received + target.provider.timeouts.total:
            continue  # its time was used up by those before it
        record.attempts += 1
        record.provider, record.target_model = target.provider.id, target.model
        try:
            await Attempt(gateway, runtime, call, fields, target, record).run()
        except UpstreamFailure as failure:
            gateway.attempted(target, failure.kind)
            # Its traceback leads to this frame, and so to the list: a cycle, in which the request and all bytes of the
            # attempt would lie until the collector comes.
            failures.append((target.name, failure.with_traceback(None)))
            if not failure.retryable:
                break
        except Interrupted as broken:
            gateway.attempted(target, broken.failure.kind)
            record.interrupted = "timeout" if broken.failure.kind is FailureKind.timeout else "upstream"
            raise _broken(target, broken.failure) from broken
        except (ClientGone, GatewayError):
            gateway.attempted(target, "abandoned")
            raise
        else:
            gateway.attempted(target, "success")
            return
    raise final_error(failures)


def settle_unread(
    gateway: Gateway, request_id: str, client: str, received: float, error: GatewayError
) -> None:
    """Log and count a chat completion that was refused before its body was read whole."""
    record = RequestRecord(request_id, received, client, ended=gateway.clock.now())
    _blame(record, error, error.status)
    gateway.settle(record)


def _answer_with(call: Call, record: RequestRecord, error: GatewayError) -> None:
    """Tell the client, and write down whose fault it was."""
    _blame(record, error, 200 if call.sink.started else error.status)
    if isinstance(error, ShuttingDown) and record.first_token is not None:
        record.interrupted = "shutdown"
    call.sink.fail(error)


def _blame(record: RequestRecord, error: GatewayError, http_status: int) -> None:
    """The caller's own fault, or the gateway's and the upstream's."""
    ours = record.attempts > 0 and not isinstance(error, BadRequest | Relayed)
    record.status = "error" if ours or error.status >= 500 else "client_error"
    record.code = error.code or error.type
    record.error = error.message
    record.http_status = http_status


def _client_left(call: Call, record: RequestRecord) -> None:
    record.status, record.code = "client_error", "client_disconnected"
    record.http_status = 200 if call.sink.started else 0
    if record.stream and record.first_token is not None:
        record.interrupted = "client"


def _broken(target: Target, failure: UpstreamFailure) -> GatewayError:
    """What the last event of a stream says that broke after its first content."""
    message = f"{target.name} {failure.message}; the answer above is not complete"
    if failure.kind is FailureKind.timeout:
        return ProviderTimeout(message)
    return ProviderFailed(message, code="stream_interrupted")
