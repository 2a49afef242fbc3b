import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.errors import FailureKind, UpstreamFailure
from llm_gateway.providers.openai_stream import ChatStream
from llm_gateway.wire.chat import Usage, parse_request
from llm_gateway.wire.sse import events

KEY = "sk-secret-key"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def stream_for(more: str = "") -> ChatStream:
    fields = parse_request(b'{"model":"m","stream":true' + more.encode() + b"}")
    return ChatStream(fields, lambda text: text.replace(KEY, "***"))


def event(value: object, ending: str = "\n") -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}{ending}{ending}".encode()


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "finish_reason": finish} | ({} if delta is None else {"delta": delta})
    return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]} | more)


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "hi"})
STOP = chunk({}, "stop")
USAGE_ALONE = event({"id": "c", "choices": [], "usage": USAGE})
FILTER = event({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})


@dataclass
class Seen:
    """All that a reader of a stream can tell."""

    out: bytes = b""
    failure: tuple[FailureKind, str] | None = None
    state: tuple[Any, ...] = ()
    usage: Usage | None = None
    finish_reasons: dict[int, str] = field(default_factory=dict)
    unknown_finish: str | None = None


def play(pieces: list[bytes], more: str = "") -> Seen:
    stream = stream_for(more)
    seen = Seen()
    try:
        for piece in pieces:
            out = stream.feed(piece)
            assert not stream.untouched or out == piece
            seen.out += out
        stream.end()
    except UpstreamFailure as failure:
        seen.out += stream.salvage
        seen.failure = (failure.kind, failure.message)
    seen.state = (stream.committed, stream.finished, stream.done, stream.deltas)
    seen.usage = stream.usage
    seen.finish_reasons = stream.finish_reasons
    seen.unknown_finish = stream.unknown_finish
    return seen


def play_in_any_split(parts: list[bytes], more: str = "") -> Seen:
    """The same bytes byte by byte, part by part, in odd sizes and in one piece must tell the same."""
    whole = b"".join(parts)
    seen = play(parts, more)
    assert play([whole], more) == seen
    assert play([whole[at : at + 1] for at in range(len(whole))], more) == seen
    assert play([whole[at : at + 7] for at in range(0, len(whole), 7)], more) == seen
    return seen


NULL: Any = None
NO_TEXT: Any = {"code": 1}

# What comes, what the client sees of it, usage, number of content events.
WHOLE: dict[str, tuple[list[bytes], list[bytes], Usage | None, int]] = {
    "an answer": ([ROLE, HI, HI, STOP, DONE], [ROLE, HI, HI, STOP], None, 2),
    "an empty answer that finished": ([ROLE, STOP, DONE], [ROLE, STOP], None, 0),
    "[DONE] is missing": ([ROLE, HI, STOP], [ROLE, HI, STOP], None, 1),
    "[DONE] without its blank line": ([ROLE, HI, DONE[:-2]], [ROLE, HI], None, 1),
    "[DONE] without a space": ([HI, STOP, b"data:[DONE]\n\n"], [HI, STOP], None, 1),
    "[DONE] without finish": ([HI, DONE], [HI], None, 1),
    "bytes after [DONE]": ([HI, STOP, DONE, HI, b"<html>"], [HI, STOP], None, 1),
    "no space after data:": (
        [HI.replace(b"data: ", b"data:"), STOP],
        [HI.replace(b"data: ", b"data:"), STOP],
        None,
        1,
    ),
    "comments and unknown fields": (
        [b": ping\n\n", b"id: 4\nretry: 9\n" + HI, b":\n\n", STOP, DONE],
        [b": ping\n\n", b"id: 4\nretry: 9\n" + HI, b":\n\n", STOP],
        None,
        1,
    ),
    "data over two lines": (
        [b'data: {"choices":\ndata: [{"delta":{"content":"x"}}]}\n\n', STOP],
        [b'data: {"choices":\ndata: [{"delta":{"content":"x"}}]}\n\n', STOP],
        None,
        1,
    ),
    "usage alone at the end": ([HI, STOP, USAGE_ALONE, DONE], [HI, STOP], Usage(3, 2, 5), 1),
    "usage alone before the finish is not ours": (
        [USAGE_ALONE, HI, STOP],
        [USAGE_ALONE, HI, STOP],
        Usage(3, 2, 5),
        1,
    ),
    "usage on the finish chunk": (
        [HI, chunk({}, "stop", usage=USAGE), DONE],
        [HI, chunk({}, "stop", usage=USAGE)],
        Usage(3, 2, 5),
        1,
    ),
    "usage on every chunk: the last counts": (
        [
            chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
            chunk({}, "stop", usage=USAGE),
            USAGE_ALONE,
            DONE,
        ],
        [
            chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
            chunk({}, "stop", usage=USAGE),
        ],
        Usage(3, 2, 5),
        1,
    ),
    "usage null on every chunk stays": (
        [chunk({"content": "a"}, usage=None), chunk({}, "stop", usage=None), USAGE_ALONE, DONE],
        [chunk({"content": "a"}, usage=None), chunk({}, "stop", usage=None)],
        Usage(3, 2, 5),
        1,
    ),
    "Azure's filter results": (
        [FILTER, ROLE, HI, STOP, FILTER, DONE],
        [FILTER, ROLE, HI, STOP, FILTER],
        None,
        1,
    ),
    "a chunk without delta after the end": (
        [HI, STOP, chunk(None, content_filter_results={}), DONE],
        [HI, STOP, chunk(None, content_filter_results={})],
        None,
        1,
    ),
    "an empty finish reason is none": (
        [chunk({"content": "a"}, ""), STOP],
        [chunk({"content": "a"}, ""), STOP],
        None,
        1,
    ),
    "an index of null is the first choice": (
        [chunk({"content": "a"}, index=NULL), chunk({}, "stop", index=NULL)],
        [chunk({"content": "a"}, index=NULL), chunk({}, "stop", index=NULL)],
        None,
        1,
    ),
    "a finish reason that is no text is none": (
        [chunk({"content": "a"}, NO_TEXT), chunk({"content": "b"}, NO_TEXT), STOP],
        [chunk({"content": "a"}, NO_TEXT), chunk({"content": "b"}, NO_TEXT), STOP],
        None,
        2,
    ),
    "an error field of null": (
        [chunk({"content": "a"}, error=None), STOP],
        [chunk({"content": "a"}, error=None), STOP],
        None,
        1,
    ),
    "the words error, event and [DONE] in a text": (
        [chunk({"content": 'error: event: "error" [DONE] data: [DONE]'}), STOP, DONE],
        [chunk({"content": 'error: event: "error" [DONE] data: [DONE]'}), STOP],
        None,
        1,
    ),
    "a line of a megabyte": (
        [chunk({"content": "ü" * 500_000}), STOP],
        [chunk({"content": "ü" * 500_000}), STOP],
        None,
        1,
    ),
    "text beyond ASCII": (
        [chunk({"content": "漢字😀"}), STOP],
        [chunk({"content": "漢字😀"}), STOP],
        None,
        1,
    ),
    "what Python writes and JSON does not know": (
        [b'data: {"choices":[{"delta":{"content":"\\ud83d"},"logprobs":NaN}]}\n\n', STOP],
        [b'data: {"choices":[{"delta":{"content":"\\ud83d"},"logprobs":NaN}]}\n\n', STOP],
        None,
        1,
    ),
    "a BOM": ([b"\xef\xbb\xbf" + HI, STOP], [HI, STOP], None, 1),
}


@pytest.mark.parametrize("sentence", WHOLE)
def test_whole_answers(sentence: str) -> None:
    comes, shown, usage, deltas = WHOLE[sentence]
    seen = play_in_any_split(comes) if len(comes[0]) < 100_000 else play(comes)
    assert seen.failure is None
    assert seen.out == b"".join(shown)
    assert seen.usage == usage
    assert seen.state[0] is True
    assert seen.state[3] == deltas


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_ends(ending: str) -> None:
    usual = [ROLE, HI, STOP, USAGE_ALONE, DONE]
    parts = [part.replace(b"\n", ending.encode()) for part in usual]
    seen = play_in_any_split(parts)
    assert (seen.out, seen.failure, seen.usage) == (b"".join(parts[:3]), None, Usage(3, 2, 5))
    assert seen.state == (True, True, True, 1)


def test_who_asked_for_usage_sees_it() -> None:
    seen = play_in_any_split([HI, STOP, USAGE_ALONE, DONE], ',"stream_options":{"include_usage":true}')
    assert seen.out == HI + STOP + USAGE_ALONE
    assert seen.usage == Usage(3, 2, 5)


def test_an_answer_of_two_choices_ends_with_both() -> None:
    parts = [HI, chunk({"content": "x"}, index=1), STOP]
    seen = play_in_any_split(parts, ',"n":2')
    assert seen.failure == (FailureKind.truncated, "the stream ended before the answer was finished")
    seen = play_in_any_split([*parts, chunk({}, "length", index=1)], ',"n":2')
    assert (seen.failure, seen.finish_reasons) == (None, {0: "stop", 1: "length"})
    twice = play_in_any_split([*parts, STOP], ',"n":2')
    assert twice.failure is not None


ABORT = b'data: {"choices": [{"index": 0, "finish_reason": "abort", "delta": {}}], "n": 1}\n\n'
WITH_CONTENT = chunk({"content": '"finish_reason": "abort"'}, "abort")
TOLD = ABORT.replace(b'"abort"', b'"length","native_finish_reason":"abort"')

# What comes, what the client sees of it.
UNKNOWN: dict[str, tuple[list[bytes], list[bytes]]] = {
    "an event of its own": ([ROLE, HI, ABORT, DONE], [ROLE, HI, TOLD]),
    "the only event": ([ABORT], [TOLD]),
    "usage behind it is ours": ([HI, ABORT, USAGE_ALONE, DONE], [HI, TOLD]),
    "with content": (
        [WITH_CONTENT, DONE],
        [WITH_CONTENT.replace(b': "abort"', b': "length","native_finish_reason":"abort"')],
    ),
    "other line ends": (
        [HI.replace(b"\n", b"\r\n"), b"event: x\r\n" + ABORT.replace(b"\n", b"\r\n")],
        [HI.replace(b"\n", b"\r\n"), b"event: x\r\n" + TOLD.replace(b"\n", b"\r\n")],
    ),
    "a comment and no space": (
        [HI, b": note {\n" + ABORT.replace(b"data: ", b"data:"), DONE],
        [HI, b": note {\n" + TOLD.replace(b"data: ", b"data:")],
    ),
    "what JSON does not know": (
        [HI, ABORT.replace(b'"n": 1', b'"n": NaN'), DONE],
        [HI, TOLD.replace(b'"n": 1', b'"n": NaN')],
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", UNKNOWN)
def test_a_finish_reason_that_clients_do_not_know(sentence: str) -> None:
    comes, shown = UNKNOWN[sentence]
    seen = play_in_any_split(comes)
    assert (seen.out, seen.failure) == (b"".join(shown), None)
    assert (seen.finish_reasons, seen.unknown_finish) == ({0: "length"}, "abort")


def test_an_unknown_finish_reason_of_one_choice_of_two() -> None:
    other = chunk({}, "stop", index=1)
    seen = play_in_any_split([HI, ABORT, other, DONE], ',"n":2')
    assert seen.out == HI + TOLD + other
    assert (seen.finish_reasons, seen.unknown_finish) == ({0: "length", 1: "stop"}, "abort")


def test_what_is_written_down_of_an_unknown_finish_reason_is_short_and_holds_no_key() -> None:
    seen = play_in_any_split([chunk({}, KEY + "x" * 100)])
    assert seen.unknown_finish == "***" + "x" * 61
    assert KEY.encode() + b"x" * 100 in seen.out


def test_known_finish_reasons_leave_the_payload_as_it_is() -> None:
    for reason in ("stop", "length", "tool_calls", "content_filter", "function_call"):
        stream = stream_for()
        payload = chunk({}, reason)
        assert stream.feed(payload) is payload
        assert (stream.untouched, stream.unknown_finish) == (True, None)
    edited = stream_for()
    assert edited.feed(ABORT) == TOLD
    assert not edited.untouched


CONTENT: dict[str, tuple[bytes, bool]] = {
    "a role": (ROLE, False),
    "a role and null": (chunk({"role": "assistant", "content": None}), False),
    "empty choices": (FILTER, False),
    "a comment": (b": ping\n\n", False),
    "an unknown event": (event({"type": "ping"}), False),
    "a named event without data": (b"event: ping\n\n", False),
    "empty tool calls": (chunk({"tool_calls": [], "reasoning": ""}), False),
    "text": (HI, True),
    "a space": (chunk({"content": " "}), True),
    "a list of parts": (chunk({"content": [{"type": "text", "text": "x"}]}), True),
    "a tool call": (chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]}), True),
    "an old function call": (chunk({"function_call": {"name": "f"}}), True),
    "reasoning_content": (chunk({"reasoning_content": "x"}), True),
    "reasoning": (chunk({"reasoning": "x"}), True),
    "a refusal": (chunk({"refusal": "no"}), True),
    "audio": (chunk({"audio": {"id": "a"}}), True),
    "a finish reason": (STOP, True),
}


@pytest.mark.parametrize("sentence", CONTENT)
def test_what_commits(sentence: str) -> None:
    data, commits = CONTENT[sentence]
    stream = stream_for()
    assert stream.feed(data) == data
    assert stream.committed is commits


BROKEN: dict[str, tuple[list[bytes], bytes, FailureKind, str]] = {
    "nothing": ([b""], b"", FailureKind.bad_answer, "empty answer"),
    "blanks": ([b"\n \r\n"], b"", FailureKind.bad_answer, "empty answer"),
    "[DONE] at once": ([DONE], b"", FailureKind.bad_answer, "empty answer"),
    "[DONE] after the role": ([ROLE, DONE], ROLE, FailureKind.bad_answer, "empty answer"),
    "[DONE] after the role, cut": ([ROLE, DONE[:-1]], ROLE, FailureKind.bad_answer, "empty answer"),
    "cut after the role": (
        [ROLE],
        ROLE,
        FailureKind.truncated,
        "the stream ended before the answer was finished",
    ),
    "cut after text": (
        [ROLE, HI],
        ROLE + HI,
        FailureKind.truncated,
        "the stream ended before the answer was finished",
    ),
    "cut in an event": (
        [HI, STOP[:-1]],
        HI,
        FailureKind.truncated,
        "the stream ended before the answer was finished",
    ),
    "comments and no more": (
        [b": ping\n\n"],
        b": ping\n\n",
        FailureKind.truncated,
        "the stream ended before the answer was finished",
    ),
    "HTML": (
        [b"\n<!DOCTYPE html>", b"<html>"],
        b"",
        FailureKind.bad_answer,
        "answered with HTML instead of a stream",
    ),
    "a JSON error": (
        [b'{"error": {"message": "no ', KEY.encode(), b' here"}}'],
        b"",
        FailureKind.bad_answer,
        "answered with JSON instead of a stream: no *** here",
    ),
    "a JSON answer": (
        [b'{"choices":[]}\n\n', b""],
        b"",
        FailureKind.bad_answer,
        'answered with JSON instead of a stream: {"choices":[]}',
    ),
    "an error first": (
        [event({"error": {"message": "overloaded " + KEY, "type": "x"}})],
        b"",
        FailureKind.error_event,
        "sent an error event: overloaded ***",
    ),
    "an error in the middle": (
        [ROLE, HI, event({"error": {"message": "overloaded"}}), HI],
        ROLE + HI,
        FailureKind.error_event,
        "sent an error event: overloaded",
    ),
    "an error as a text": (
        [HI, event({"error": "overloaded"})],
        HI,
        FailureKind.error_event,
        "sent an error event: overloaded",
    ),
    "an error beside choices": (
        [HI, chunk({"content": "x"}, error={"message": "boom", "code": 502})],
        HI,
        FailureKind.error_event,
        "sent an error event: boom",
    ),
    "an error that says nothing": (
        [event({"error": {"code": 1}})],
        b"",
        FailureKind.error_event,
        "sent an error event",
    ),
    "an event named error": (
        [HI, b'event: error\ndata: {"message":"boom"}\n\n'],
        HI,
        FailureKind.error_event,
        "sent an error event: boom",
    ),
    "an event named error with plain text": (
        [HI, b"event: error\ndata: out of memory\n\n"],
        HI,
        FailureKind.error_event,
        "sent an error event: out of memory",
    ),
    "a line named error": (
        [HI, b'error: {"code":500,"message":"boom","type":"server_error"}\n\n'],
        HI,
        FailureKind.error_event,
        "sent an error event: boom",
    ),
    "an error after the finish": (
        [HI, STOP, event({"error": {"message": "boom"}})],
        HI + STOP,
        FailureKind.error_event,
        "sent an error event: boom",
    ),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_broken_answers(sentence: str) -> None:
    parts, shown, kind, message = BROKEN[sentence]
    seen = play_in_any_split(parts)
    assert (seen.out, seen.failure) == (shown, (kind, message))
    assert seen.state[2] is False


MALFORMED = {
    "no JSON": b"data: {oops\n\n",
    "cut JSON that ends like an object": b'data: {"choices":[{"delta":{"content":"a"}}\n\n',
    "text": b"data: oops\n\n",
    "two objects": b"data: {} {}\n\n",
    "a choice of another kind": b'data: {"choices":[7]}\n\n',
    "choices of another kind": b'data: {"choices":7}\n\n',
}


@pytest.mark.parametrize("before", [[], [ROLE, HI]])
@pytest.mark.parametrize("sentence", MALFORMED)
def test_malformed_chunks(sentence: str, before: list[bytes]) -> None:
    seen = play_in_any_split([*before, MALFORMED[sentence], HI])
    assert seen.out == b"".join(before)
    assert seen.failure is not None
    assert seen.failure[0] is FailureKind.bad_answer
    assert seen.failure[1].startswith("sent a malformed chunk")


def test_an_event_too_long() -> None:
    stream = stream_for()
    for _ in range(63):
        assert stream.feed(b"data: " + b"x" * 65536) == b""
    with pytest.raises(UpstreamFailure) as caught:
        stream.feed(b"x" * 65536)
    assert caught.value.kind is FailureKind.bad_answer


def test_json_too_long() -> None:
    stream = stream_for()
    assert stream.feed(b'{"x":"' + b"x" * 60_000) == b""
    with pytest.raises(UpstreamFailure) as caught:
        stream.feed(b"x" * 60_000)
    assert caught.value.kind is FailureKind.bad_answer


def test_untouched_payloads_are_the_same_object() -> None:
    stream = stream_for()
    for payload, untouched in (
        (ROLE, True),
        (HI, True),
        (HI + HI, True),
        (HI[:9], False),
        (HI[9:], False),
        (STOP, True),
        (USAGE_ALONE, False),
        (DONE, False),
        (DONE, False),
    ):
        out = stream.feed(payload)
        assert (stream.untouched, out is payload) == (untouched, untouched)


def test_the_final_event() -> None:
    assert stream_for().final == DONE


PARTS = [
    ROLE,
    HI,
    STOP,
    DONE,
    USAGE_ALONE,
    FILTER,
    b"\n",
    b"\r",
    b"data: ",
    b'{"error":1}',
    b": c\n\n",
    b'{"choices":[{"finish_reason":"stop"}]}',
    b"event: error\n",
    b"[DONE]",
]


@given(st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=6)), max_size=12), st.integers(1, 40))
def test_no_bytes_crash_it_and_none_finish_it_falsely(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    stream = stream_for()
    with contextlib.suppress(UpstreamFailure):
        for at in range(0, len(data), size):
            out = stream.feed(data[at : at + size])
            assert all(event.data.strip() != b"[DONE]" for event in events(out))
        stream.end()
        assert stream.done or stream.finished
    if stream.done:
        assert b"[DONE]" in data
        assert stream.committed
    if stream.finished:
        assert b'"finish_reason":"stop"' in data.replace(b" ", b"")


@given(st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    stream = stream_for()
    with contextlib.suppress(UpstreamFailure):
        stream.feed(data + b"\n\n")
        stream.feed(b"data: " + data + b"\n\n")
        stream.end()
    assert not stream.done
    assert not stream.finished
