"""The mock's scripts, read back with the parsers that the gateway uses for real servers."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from llm_gateway.errors import UpstreamFailure
from llm_gateway.providers.mock import behaviour, refuses, script
from llm_gateway.providers.mock_adapter import MockAdapter
from llm_gateway.providers.mock_answer import ANSWER_LIMIT
from llm_gateway.providers.mock_steps import Close, Reset, Send, Silence, Step, Wait
from llm_gateway.providers.mock_text import count, echo, lorem, split
from llm_gateway.wire.chat import Usage, parse_request
from llm_gateway.wire.http1 import parse_head
from llm_gateway_config import MockFault, MockFaultKind, MockOptions, Provider

ADAPTER = MockAdapter.of(Provider.model_validate({"type": "mock", "models": ["echo"]}))
PLAIN = MockOptions()


def options(**fields: Any) -> MockOptions:
    """As a document writes them, durations as text."""
    return MockOptions.model_validate(fields)


def request(text: str = "one two three four five", **fields: Any) -> bytes:
    body = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
    return json.dumps(body).encode()


def steps(body: bytes, model: str = "echo", how: MockOptions = PLAIN, seed: int = 1) -> list[Step]:
    rng = random.Random(seed)
    return list(script(body, how, model, request_id="abc", created=1700000000, rng=rng))


def sent(played: list[Step]) -> bytes:
    return b"".join(step.data for step in played if isinstance(step, Send))


def others(played: list[Step]) -> list[Step]:
    return [step for step in played if not isinstance(step, Send)]


def answer(raw: bytes) -> tuple[int, dict[bytes, bytes], bytes, bool]:
    """Status, headers, payload of the body, whether it is whole."""
    parsed = parse_head(raw)
    assert parsed is not None
    head, end = parsed
    assert head.keep_alive
    payload = head.body.feed(raw[end:])
    assert not head.body.excess
    return head.status, head.headers, payload, head.body.done


def completion(body: bytes, model: str = "echo", how: MockOptions = PLAIN) -> dict[str, Any]:
    status, headers, payload, whole = answer(sent(steps(body, model, how)))
    assert (status, headers[b"content-type"], whole) == (200, b"application/json", True)
    value: dict[str, Any] = json.loads(payload)
    return value


def chunks(payload: bytes) -> Iterator[dict[str, Any]]:
    for event in payload.decode().split("\n\n")[:-1]:
        assert event.startswith("data: ")
        if event != "data: [DONE]":
            yield json.loads(event.removeprefix("data: "))


def streamed(body: bytes, model: str = "echo", how: MockOptions = PLAIN) -> list[dict[str, Any]]:
    status, headers, payload, whole = answer(sent(steps(body, model, how)))
    assert (status, headers[b"content-type"], whole) == (200, b"text/event-stream; charset=utf-8", True)
    assert payload.endswith(b"data: [DONE]\n\n")
    return list(chunks(payload))


def text_of(events: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


TEXTS = {
    "words": "one two three",
    "several spaces and lines": "  one \n\n two\tthree ",
    "nothing": "",
    "white space only": " \n ",
    "other scripts and escapes": 'naïve "quoted" \\ 東京 🚀 \u2028 \x00',
}


@pytest.mark.parametrize("sentence", TEXTS)
def test_echo_gives_the_text_back_streamed_or_not(sentence: str) -> None:
    text = TEXTS[sentence]
    assert "".join(split(text)) == text
    assert count(text) == len(list(split(text)))
    assert completion(request(text))["choices"][0]["message"]["content"] == text
    assert text_of(streamed(request(text, stream=True))) == text


MESSAGES = {
    "the last user message counts": (
        [
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b c"},
            {"role": "assistant", "content": "d"},
        ],
        "b c",
        4,
    ),
    "text parts are joined, others skipped": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see "},
                    {"type": "image_url", "image_url": {"url": "data:"}},
                    {"type": "text", "text": "this"},
                ],
            }
        ],
        "see this",
        2,
    ),
    "without a user message, the last one": ([{"role": "system", "content": "be kind"}], "be kind", 2),
    "a message without content": ([{"role": "user", "content": None}], "", 0),
}


@pytest.mark.parametrize("sentence", MESSAGES)
def test_what_echo_repeats_and_what_a_prompt_counts(sentence: str) -> None:
    messages, expected, prompt_tokens = MESSAGES[sentence]
    reply = completion(json.dumps({"model": "echo", "messages": messages}).encode())
    assert reply["choices"][0]["message"]["content"] == expected
    assert reply["usage"]["prompt_tokens"] == prompt_tokens


def test_a_completion_looks_like_openais() -> None:
    assert completion(request("hello there")) == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }


def test_a_stream_looks_like_openais() -> None:
    events = streamed(request("hello there", stream=True))
    deltas = [(event["choices"][0]["delta"], event["choices"][0]["finish_reason"]) for event in events]
    assert deltas == [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        ({"content": "hello"}, None),
        ({"content": " there"}, None),
        ({}, "stop"),
    ]
    assert {event["id"] for event in events} == {"chatcmpl-abc"}
    assert not any("usage" in event for event in events)


LENGTHS: dict[str, tuple[str, MockOptions, dict[str, Any], int, str]] = {
    "lorem has 16 tokens": ("lorem", PLAIN, {}, 16, "stop"),
    "answer_tokens sets it": ("any", MockOptions(answer_tokens=40), {}, 40, "stop"),
    "answer_tokens may be 0": ("any", MockOptions(answer_tokens=0), {}, 0, "stop"),
    "echo has its own length": ("echo", MockOptions(answer_tokens=40), {}, 5, "stop"),
    "max_tokens cuts": ("echo", PLAIN, {"max_tokens": 3}, 3, "length"),
    "max_completion_tokens comes first": (
        "lorem",
        PLAIN,
        {"max_tokens": 3, "max_completion_tokens": 2},
        2,
        "length",
    ),
    "a limit that is just reached does not cut": ("echo", PLAIN, {"max_tokens": 5}, 5, "stop"),
    "null means no limit": ("echo", PLAIN, {"max_tokens": None}, 5, "stop"),
}


@pytest.mark.parametrize("sentence", LENGTHS)
def test_length_finish_reason_and_usage_agree(sentence: str) -> None:
    model, how, fields, tokens, reason = LENGTHS[sentence]
    reply = completion(request(**fields), model, how)
    usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    assert reply["usage"] == usage
    assert reply["choices"][0]["finish_reason"] == reason
    content = reply["choices"][0]["message"]["content"]
    assert count(content) == tokens
    events = streamed(request(stream=True, stream_options={"include_usage": True}, **fields), model, how)
    assert text_of(events) == content
    assert events[-2]["choices"][0]["finish_reason"] == reason
    assert (events[-1]["choices"], events[-1]["usage"]) == ([], usage)
    assert all(event["usage"] is None for event in events[:-1])


def test_n_choices() -> None:
    reply = completion(request("a b", n=3))
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["usage"]["completion_tokens"] == 6
    events = streamed(request("a b", n=3, stream=True))
    assert [text_of(events, index) for index in range(3)] == ["a b"] * 3
    reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
    assert reasons.count("stop") == 3


BAD_REQUESTS = {
    "no JSON": b"{",
    "not an object": b"[]",
    "no messages": b'{"model": "echo"}',
    "an empty list of messages": b'{"model": "echo", "messages": []}',
    "a message that is a string": b'{"model": "echo", "messages": ["hi"]}',
    "n of 0": request(n=0),
    "max_tokens of 0": request(max_tokens=0),
    "stream as a string": request(stream="yes"),
}


@pytest.mark.parametrize("sentence", BAD_REQUESTS)
def test_a_bad_request_gets_a_400_as_from_a_real_server(sentence: str) -> None:
    status, headers, payload, whole = answer(sent(steps(BAD_REQUESTS[sentence])))
    assert (status, headers[b"content-type"], whole) == (400, b"application/json", True)
    assert json.loads(payload)["error"]["type"] == "invalid_request_error"
    assert ADAPTER.rejection(status, headers, payload).relay is not None


# How long answers may be.

TOO_LONG: dict[str, tuple[bytes, str, MockOptions]] = {
    "an echo in one piece": (request("x" * 40_000, n=101), "echo", PLAIN),
    "a streamed echo, whose one word goes out at once": (request("x" * 40_000, n=101, stream=True), "echo", PLAIN),
    "filler in one piece": (request(), "lorem", MockOptions(answer_tokens=1_000_000)),
    "many choices of filler": (request(n=128), "lorem", MockOptions(answer_tokens=10_000)),
}  # fmt: skip


@pytest.mark.parametrize("sentence", TOO_LONG)
def test_an_answer_too_long_for_the_event_loop_is_refused_with_limit_and_remedy(sentence: str) -> None:
    body, model, how = TOO_LONG[sentence]
    status, _, payload, whole = answer(sent(steps(body, model, how)))
    assert (status, whole) == (400, True)
    message = json.loads(payload)["error"]["message"]
    assert str(ANSWER_LIMIT) in message
    assert "lower n or max_tokens" in message


ALLOWED: dict[str, bytes] = {
    "many choices": request("x" * (ANSWER_LIMIT // 128), n=128),
    "an echo that max_tokens cuts": request("xxxx " * 400_000, n=2, max_tokens=300_000),
    "many words": request("x " * (ANSWER_LIMIT // 2)),
}


@pytest.mark.parametrize("sentence", ALLOWED)
def test_the_longest_answers_allowed_do_not_hold_up_the_event_loop(sentence: str) -> None:
    began = time.process_time()
    status, *_, whole = answer(sent(steps(ALLOWED[sentence])))
    assert (status, whole) == (200, True)
    # About 0.1 s; with n unbounded it was more than 2.
    assert time.process_time() - began < 1


LONG_TEXTS = {
    "a word across slices": "x" * 200_000,
    "words and white space of any length": "".join("y" * (n % 7) + " \n" * (n % 3) for n in range(100_000)),
    "white space at a cut": "x" * 65_535 + " " + "x" * 65_535 + "  x ",
}


@pytest.mark.parametrize("sentence", LONG_TEXTS)
def test_long_texts_are_counted_and_cut_as_they_are_split(sentence: str) -> None:
    text = LONG_TEXTS[sentence]
    tokens = list(split(text))
    assert count(text) == len(tokens)
    for number in (0, 1, len(tokens) // 2, len(tokens) - 1, len(tokens)):
        said = echo(text, number)
        assert said.whole() == "".join(said.pieces()) == "".join(tokens[:number])


@pytest.mark.parametrize("tokens", [0, 1, 18, 19, 20, 37, 38, 39, 1000])
def test_filler_is_the_same_in_one_piece_and_in_many(tokens: int) -> None:
    said = lorem(tokens)
    assert "".join(said.pieces()) == said.whole()
    assert count(said.whole()) == tokens


# Pace.

PACES: dict[str, tuple[MockOptions, str, bool, list[Step]]] = {
    "no pace, no waits": (PLAIN, "echo", True, []),
    "a first token late": (options(first_token="1s"), "echo", True, [Wait(1.0)]),
    "a slow model by name": (PLAIN, "slow-2s", False, [Wait(2.0)]),
    "a name that is no duration": (PLAIN, "slow-food", True, []),
    "token by token": (MockOptions(tokens_per_second=10), "echo", True, [Wait(0.1)] * 5),
    "all of it before an answer in one piece": (
        options(first_token="500ms", tokens_per_second=10),
        "echo",
        False,
        [Wait(1.0)],
    ),
}


@pytest.mark.parametrize("sentence", PACES)
def test_pace(sentence: str) -> None:
    how, model, stream, waits = PACES[sentence]
    played = steps(request(stream=stream), model, how)
    assert others(played) == waits
    assert answer(sent(played))[3]


def test_the_head_of_a_stream_comes_before_the_first_tokens_wait() -> None:
    played = steps(request(stream=True), "echo", options(first_token="1s"))
    assert isinstance(played[0], Send)
    assert played[0].data.endswith(b"\r\n\r\n")
    assert played[1] == Wait(1.0)


def test_each_token_is_a_step_of_its_own_where_there_is_a_pace() -> None:
    played = steps(request("a b c", stream=True), "echo", MockOptions(tokens_per_second=10))
    assert [step.data.count(b'"content":') for step in played if isinstance(step, Send)] == [0, 1, 1, 1, 1, 0]


def test_a_long_answer_comes_in_bounded_pieces_and_is_made_as_it_is_taken() -> None:
    long = MockOptions(answer_tokens=1_000_000)
    played = script(request(stream=True), long, "lorem", request_id="a", created=1, rng=random.Random(1))
    pieces = [next(played) for _ in range(50)]
    assert all(isinstance(piece, Send) and len(piece.data) < 32 * 1024 for piece in pieces)


# Faults: what the gateway's own reading makes of each.


def fault(kind: str, **fields: Any) -> MockOptions:
    return options(fault={"kind": kind, **fields})


def verdict(played: list[Step], stream: bool) -> str:
    """How an attempt at this answer ends: `whole`, or the kind of failure, or what it waits for in vain."""
    ends = others(played)
    raw = sent(played)
    if not raw:
        return type(ends[-1]).__name__
    parsed = parse_head(raw)
    assert parsed is not None
    head, start = parsed
    payload = head.body.feed(raw[start:])
    try:
        if head.status != 200:
            raise ADAPTER.rejection(head.status, head.headers, payload)
        if stream and head.headers[b"content-type"].startswith(b"text/event-stream"):
            reading = ADAPTER.stream(parse_request(request(stream=True)), {})
            reading.feed(payload)
            if ends and not head.body.done:
                return f"{type(ends[-1]).__name__} after {reading.deltas} tokens"
            reading.end()
        elif not head.body.done:
            return f"{type(ends[-1]).__name__} before the end"
        else:
            ADAPTER.completion(payload, head.headers)
    except UpstreamFailure as failure:
        return str(failure.kind)
    return "whole"


FAULTS: dict[str, tuple[MockOptions, str, str]] = {
    "status": (fault("status"), "status", "status"),
    "status 401": (fault("status", status=401), "credential", "credential"),
    "status 429": (fault("status", status=429), "rate_limit", "rate_limit"),
    "status 529, which has no name": (fault("status", status=529), "status", "status"),
    "reset": (fault("reset"), "Reset", "Reset"),
    "silence": (fault("silence"), "Silence", "Silence"),
    "cut": (fault("cut"), "Close after 3 tokens", "Close before the end"),
    "cut before any token": (fault("cut", after_tokens=0), "Close after 0 tokens", "Close before the end"),
    "cut later than the answer is long": (
        fault("cut", after_tokens=99),
        "Close after 5 tokens",
        "Close before the end",
    ),
    "stall": (fault("stall", after_tokens=2), "Silence after 2 tokens", "Silence before the end"),
    "malformed": (fault("malformed"), "bad_answer", "bad_answer"),
    "malformed first": (fault("malformed", after_tokens=0), "bad_answer", "bad_answer"),
    "no [DONE]": (fault("no_done"), "whole", "whole"),
    "error event": (fault("error_event"), "error_event", "bad_answer"),
    "error event first": (fault("error_event", after_tokens=0), "error_event", "bad_answer"),
    "HTML": (fault("html"), "bad_answer", "bad_answer"),
    "empty": (fault("empty"), "bad_answer", "bad_answer"),
    "none by chance": (fault("reset", rate_percent=0), "whole", "whole"),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_faults_by_option(sentence: str) -> None:
    how, stream, plain = FAULTS[sentence]
    assert verdict(steps(request(stream=True), "echo", how), True) == stream
    assert verdict(steps(request(), "echo", how), False) == plain


def test_no_done_leaves_out_nothing_else() -> None:
    *_, payload, whole = answer(sent(steps(request(stream=True), "echo", fault("no_done"))))
    assert whole
    assert b"[DONE]" not in payload
    assert b'"finish_reason":"stop"' in payload


def test_after_a_malformed_event_a_stream_goes_on_without_the_token() -> None:
    *_, payload, _ = answer(
        sent(steps(request("a b c d", stream=True), "echo", fault("malformed", after_tokens=2)))
    )
    events = payload.decode().split("\n\n")
    with pytest.raises(ValueError):
        json.loads(events[3].removeprefix("data: "))
    good = "\n\n".join(events[:3] + events[4:])
    assert text_of(list(chunks(good.encode()))) == "a b d"
    assert payload.endswith(b"data: [DONE]\n\n")


NAMES: dict[str, tuple[str, MockFault | None]] = {
    "a status": ("fault-status-503", MockFault(kind=MockFaultKind.STATUS, status=503)),
    "a status with Retry-After": (
        "fault-status-429-retry-2",
        MockFault(kind=MockFaultKind.STATUS, status=429).model_copy(update={"retry_after": 2.0}),
    ),
    **{kind.value: (f"fault-{kind.value.replace('_', '-')}", MockFault(kind=kind)) for kind in MockFaultKind},
    "no such fault": ("fault-lines", None),
    "a status that is none": ("fault-status-200", None),
    "another name": ("lorem", None),
}


@pytest.mark.parametrize("sentence", NAMES)
def test_faults_by_model_name(sentence: str) -> None:
    model, expected = NAMES[sentence]
    assert behaviour(PLAIN, model).fault == expected


def test_a_name_comes_before_an_option_and_keeps_the_rest() -> None:
    merged = behaviour(options(tokens_per_second=7, fault={"kind": "cut"}), "fault-stall")
    assert merged.tokens_per_second == 7
    assert merged.fault == MockFault(kind=MockFaultKind.STALL)


RETRIES = {
    "whole seconds": ("2s", b"2", b"2000", 2.0),
    "a fraction is rounded up where only seconds fit": ("1500ms", b"2", b"1500", 1.5),
}


@pytest.mark.parametrize("sentence", RETRIES)
def test_retry_after(sentence: str) -> None:
    wait, seconds, milliseconds, read = RETRIES[sentence]
    limited = fault("status", status=429, retry_after=wait)
    status, headers, payload, _ = answer(sent(steps(request(), "echo", limited)))
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (seconds, milliseconds)
    assert ADAPTER.rejection(status, headers, payload).retry_after == read


def test_a_rate_strikes_its_share() -> None:
    flaky = fault("status", rate_percent=30)
    failed = sum(verdict(steps(request(), "echo", flaky, seed), False) == "status" for seed in range(1000))
    assert 240 < failed < 360


def test_refusing_is_decided_for_the_connection() -> None:
    rng = random.Random(1)
    assert refuses(PLAIN, "fault-refuse", rng)
    assert refuses(fault("refuse"), "echo", rng)
    assert not refuses(PLAIN, "echo", rng)
    assert not refuses(fault("cut"), "echo", rng)
    share = sum(refuses(fault("refuse", rate_percent=30), "echo", rng) for _ in range(1000))
    assert 240 < share < 360


def test_a_connection_let_through_answers_once_so_that_the_next_request_draws_again() -> None:
    played = steps(request(), "echo", fault("refuse", rate_percent=50))
    assert others(played) == [Close()]
    assert answer(sent(played))[3]


def test_a_refusal_that_came_too_late_for_the_connection_is_a_reset() -> None:
    assert steps(request(), "fault-refuse") == [Reset()]


def test_silence_sends_nothing() -> None:
    assert steps(request(), "fault-silence") == [Silence()]


def test_the_adapter_asks_a_host_that_cannot_exist() -> None:
    body = request(stream=True)
    raw = ADAPTER.encode(body, parse_request(body), "lorem", b"X-Request-ID: req_1\r\n")
    head, _, sent_body = raw.partition(b"\r\n\r\n")
    assert b"\r\nHost: mock.invalid\r\n" in head
    assert b"Authorization" not in head
    assert json.loads(sent_body)["model"] == "lorem"
    assert json.loads(sent_body)["stream_options"] == {"include_usage": True}


def test_the_mocks_usage_is_what_the_gateway_meters() -> None:
    body = request(stream=True, stream_options={"include_usage": True})
    reading = ADAPTER.stream(parse_request(request(stream=True)), {})
    *_, payload, _ = answer(sent(steps(body)))
    shown = reading.feed(payload)
    reading.end()
    assert reading.usage == Usage(prompt=5, completion=5, total=10)
    assert b'"total_tokens"' not in shown
