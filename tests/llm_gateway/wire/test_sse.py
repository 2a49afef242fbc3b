import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.wire.sse import Event, EventSplitter, EventTooLong, events

BOM = b"\xef\xbb\xbf"


def run(data: bytes, size: int) -> tuple[bytes, int]:
    splitter = EventSplitter()
    out = b"".join(splitter.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert splitter.tail() == b"".join([data.removeprefix(BOM)[len(out) :]])
    return out, splitter.held


STREAMS = {
    "LF": (b"data: a\n\ndata: b\n\ndata: c", b"data: a\n\ndata: b\n\n"),
    "CR LF": (b"data: a\r\n\r\ndata: b\r\n\r\ndata: c\r\n", b"data: a\r\n\r\ndata: b\r\n\r\n"),
    "CR": (b"data: a\r\rdata: b\r\rdata: c\r", b"data: a\r\rdata: b\r\r"),
    "LF then CR LF": (b"data: a\n\r\ndata: b\n", b"data: a\n\r\n"),
    "CR LF then LF": (b"data: a\r\n\ndata: b\n", b"data: a\r\n\n"),
    "LF then CR": (b"data: a\n\rdata: b\n", b"data: a\n\r"),
    "many lines in an event": (b"id: 1\ndata: a\ndata: b\n\nx", b"id: 1\ndata: a\ndata: b\n\n"),
    "a comment": (b": ping\n\n", b": ping\n\n"),
    "a BOM": (BOM + b"data: a\n\n", b"data: a\n\n"),
    "UTF-8": ("data: ÄÖ漢😀\n\ndata: x".encode(), "data: ÄÖ漢😀\n\n".encode()),
    "nothing whole": (b"data: a\n", b""),
    "blank lines": (b"\n\ndata: a\n\n\n\n", b"\n\ndata: a\n\n\n\n"),
    "a third blank line": (b"data: a\n\n\n", b"data: a\n\n\n"),
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("sentence", STREAMS)
def test_whole_events_in_any_split(sentence: str, size: int) -> None:
    data, whole = STREAMS[sentence]
    assert run(data, size) == (whole, len(data.removeprefix(BOM)) - len(whole))


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"data: x", b"a", b":", BOM]), max_size=24),
    st.integers(1, 9),
)
def test_splits_make_no_difference(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    assert run(data, size) == run(data, 10_000) == run(data, 1)


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"event: e", b": c", b"data"]), max_size=24)
)
def test_events_lose_no_byte(parts: list[bytes]) -> None:
    block = b"".join(parts)
    assert b"".join(event.raw for event in events(block)) == block


def test_whole_events_are_handed_back_as_they_are() -> None:
    splitter = EventSplitter()
    splitter.feed(b": hello\n\n")
    data = b"data: a\n\ndata: b\n\n"
    assert splitter.feed(data) is data


def test_a_boundary_of_cr_lf_is_waited_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == b""
    assert splitter.feed(b"\n") == b"data: a\r\n\r\n"
    assert splitter.held == 0


def test_an_event_over_the_limit() -> None:
    splitter = EventSplitter(limit=10)
    assert splitter.feed(b"data: a\n\ndata: b") == b"data: a\n\n"
    assert splitter.held == 7
    splitter.feed(b"bbb")
    with pytest.raises(EventTooLong):
        splitter.feed(b"b")


@pytest.mark.parametrize("size", [1, 4096])
def test_a_long_event_takes_linear_time(size: int) -> None:
    data = b"data: " + b"x" * 1_000_000 + b"\n\n"
    splitter = EventSplitter()
    began = time.process_time()
    out = [splitter.feed(data[at : at + size]) for at in range(0, len(data), size)]
    # About 1 s byte by byte; searched from the start each time it would be hours.
    assert time.process_time() - began < 30
    assert out[-1] == data
    assert not any(out[:-1])


EVENTS = {
    "data": (b"data: a\n\n", [(b"a", b"")]),
    "data without a space": (b"data:a\n\n", [(b"a", b"")]),
    "only one space goes": (b"data:  a\n\n", [(b" a", b"")]),
    "lines are joined": (b"data: a\ndata\ndata: b\n\n", [(b"a\n\nb", b"")]),
    "a name": (b"event: error\ndata: a\n\n", [(b"a", b"error")]),
    "a name alone": (b"event: ping\n\n", [(b"", b"ping")]),
    "unknown fields": (b"id: 7\nretry: 5\nfoo: x\ndata: a\n\n", [(b"a", b"")]),
    "comments": (b": ping\n\n:\n\n", [(b"", b""), (b"", b"")]),
    "LF and CR": (b"data: a\n\rdata: b\n\n", [(b"a", b""), (b"b", b"")]),
    "CR LF and CR": (b"data: a\r\n\r\ndata: b\rdata: c\r\r", [(b"a", b""), (b"b\nc", b"")]),
}


@pytest.mark.parametrize("sentence", EVENTS)
def test_events(sentence: str) -> None:
    block, expected = EVENTS[sentence]
    assert [(e.data, e.event) for e in events(block)] == expected


def test_an_event_keeps_its_bytes() -> None:
    assert list(events(b"a: b\n\ndata: c\r\n\r\n")) == [
        Event(b"a: b\n\n", b"", b""),
        Event(b"data: c\r\n\r\n", b"c", b""),
    ]
