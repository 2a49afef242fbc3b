"""The built-in provider: answers without a server, and breaks on demand. Pure.

`script` plays a whole OpenAI server, down to the HTTP bytes, so that all that stands before it (parser,
stream, failover, timeouts) runs as with a real one. `upstream.mock` plays a script into a connection.

Models: `echo` repeats the last user message, any other name answers lorem ipsum. Some names bring a
behaviour: `slow-2s` (first token after 2 s), `fault-cut`, `fault-status-503`, `fault-status-429-retry-2`
(Retry-After: 2), and so on for every kind of fault.
"""

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from llm_gateway.errors import BadRequest, error_body
from llm_gateway.providers.mock_answer import Answer, read
from llm_gateway.providers.mock_faults import AT_ONCE, FAILURE, MIDWAY, ending
from llm_gateway.providers.mock_steps import (
    CHUNKED,
    EVENTS,
    Close,
    Send,
    Silence,
    Step,
    Wait,
    head,
    length,
    paced,
    whole,
)
from llm_gateway.wire.http1 import chunk
from llm_gateway_config import MockFault, MockFaultKind, MockOptions, parse_duration

_NAMED_STATUS = re.compile(r"status-([45]\d\d)(?:-retry-(\d{1,5}))?")
_RESET = MockFault.model_construct(kind=MockFaultKind.RESET)


def refuses(options: MockOptions, model: str, rng: random.Random) -> bool:
    """Whether a connection for a request to this model is refused."""
    fault = behaviour(options, model).fault
    return fault is not None and fault.kind is MockFaultKind.REFUSE and _strikes(fault, rng)


def script(
    request_body: bytes,
    options: MockOptions,
    model: str,
    *,
    request_id: str,
    created: int,
    rng: random.Random,
) -> Iterator[Step]:
    """The answer to one request, step by step. `created`: Unix seconds. `request_id`: part of its id.

    Kind `refuse` belongs to connecting (`refuses`). A request that gets here all the same was let through by
    `rate_percent`, and its connection closes after it, so that the next one meets the fault anew; or its model
    was not known then, and a reset is the nearest thing.
    """
    options = behaviour(options, model)
    fault = options.fault
    refusing = fault is not None and fault.kind is MockFaultKind.REFUSE
    if fault is not None and refusing:
        fault = _RESET if fault.rate_percent == 100 else None
    elif fault is not None and not _strikes(fault, rng):
        fault = None
    try:
        answer = read(request_body, model, options.answer_tokens, request_id, created)
    except BadRequest as error:
        yield whole(error.status, error.body())
        return
    if fault is not None and fault.kind in AT_ONCE:
        yield from AT_ONCE[fault.kind](fault, answer)
    elif answer.stream:
        yield from _stream(answer, options, fault)
    else:
        yield from _completion(answer, options, fault)
    if refusing and fault is None:
        yield Close()


@lru_cache(maxsize=256)
def behaviour(options: MockOptions, model: str) -> MockOptions:
    """The options with what the model's name adds; a fault by name comes before one by option.

    A name that only looks like one of these (`fault-x`) adds nothing.
    """
    kind, _, rest = model.partition("-")
    if kind == "slow":
        try:
            return options.model_copy(update={"first_token": parse_duration(rest)})
        except ValueError:
            return options
    fault = _named_fault(rest) if kind == "fault" else None
    return options if fault is None else options.model_copy(update={"fault": fault})


def _named_fault(name: str) -> MockFault | None:
    if found := _NAMED_STATUS.fullmatch(name):
        retry = None if found[2] is None else float(found[2])
        return MockFault.model_construct(kind=MockFaultKind.STATUS, status=int(found[1]), retry_after=retry)
    try:
        return MockFault.model_construct(kind=MockFaultKind(name.replace("-", "_")))
    except ValueError:
        return None


def _strikes(fault: MockFault, rng: random.Random) -> bool:
    return rng.random() * 100 < fault.rate_percent


def _completion(answer: Answer, options: MockOptions, fault: MockFault | None) -> Iterator[Step]:
    pace = options.tokens_per_second
    if seconds := options.first_token + (answer.tokens / pace if pace else 0):
        yield Wait(seconds)
    body = answer.completion()
    half = body[: len(body) // 2]
    match fault and fault.kind:
        case MockFaultKind.CUT:
            yield Send(head(200, length(body)) + half)
            yield Close()
        case MockFaultKind.STALL:
            yield Send(head(200, length(body)) + half)
            yield Silence()
        case MockFaultKind.MALFORMED:
            yield whole(200, half)
        case MockFaultKind.ERROR_EVENT:
            yield whole(200, error_body(FAILURE, "server_error"))
        case _:
            yield whole(200, body)


def _stream(answer: Answer, options: MockOptions, fault: MockFault | None) -> Iterator[Step]:
    yield Send(head(200, CHUNKED, EVENTS))
    if options.first_token:
        yield Wait(options.first_token)
    content = answer.content()
    if fault is None or fault.kind not in MIDWAY:
        yield Send(chunk(answer.opening()))
        yield from paced(content, options.tokens_per_second)
        yield ending(answer, done=fault is None)
        return
    if fault.after_tokens:
        # A fault after no token at all comes before the opening too: it is the first event.
        yield Send(chunk(answer.opening()))
        yield from paced(islice(content, fault.after_tokens), options.tokens_per_second)
    yield from MIDWAY[fault.kind](answer, content, options)
