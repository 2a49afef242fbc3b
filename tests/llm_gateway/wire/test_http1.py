import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_gateway.wire.http1 import (
    Body,
    ChunkedBody,
    EofBody,
    LengthBody,
    ProtocolError,
    ResponseHead,
    chunk,
    parse_head,
)


def head_of(data: bytes) -> ResponseHead:
    parsed = parse_head(data)
    assert parsed is not None
    assert parsed[1] == len(data)
    return parsed[0]


FRAMINGS = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", LengthBody, True),
    "a length of zero": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LengthBody, True),
    "the same length twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        LengthBody,
        True,
    ),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", ChunkedBody, True),
    "chunks win over a length, and the connection ends": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ChunkedBody,
        False,
    ),
    "chunks in HTTP/1.0 end the connection": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
        ChunkedBody,
        False,
    ),
    "neither: up to the end": (b"HTTP/1.1 200 OK\r\n\r\n", EofBody, False),
    "204 has none whatever it says": (
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
        LengthBody,
        True,
    ),
    "304 has none": (b"HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", LengthBody, True),
    "close is obeyed": (
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
        LengthBody,
        False,
    ),
    "1.0 closes": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", LengthBody, False),
    "1.0 with keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
        LengthBody,
        True,
    ),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", LengthBody, True),
    "an empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", LengthBody, True),
}


@pytest.mark.parametrize("sentence", FRAMINGS)
def test_framing(sentence: str) -> None:
    data, body, keep_alive = FRAMINGS[sentence]
    head = head_of(data)
    assert (type(head.body), head.keep_alive) == (body, keep_alive)


def test_bodies_that_cannot_exist_are_done_at_once() -> None:
    for status in (204, 304):
        assert head_of(b"HTTP/1.1 %d x\r\nContent-Length: 7\r\n\r\n" % status).body.done


def test_headers_are_lower_case_and_joined() -> None:
    head = head_of(b"HTTP/1.1 429 Too Many\r\nRetry-After:  7 \t\r\nX-A: 1\r\nx-a:\r\nX-a: 3\r\n\r\n")
    assert head.status == 429
    assert head.headers == {b"retry-after": b"7", b"x-a": b"1, , 3"}


MALFORMED = {
    "another protocol": b"SSH-2.0-OpenSSH\r\n\r\n",
    "another protocol, already at its first byte": b"S",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nA: b\n\n",
    "bare LF in the middle": b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
    "bare CR": b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "a folded line by tab": b"HTTP/1.1 200 OK\r\nA: b\r\n\tc: d\r\n\r\n",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
    "no name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two lengths in one": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "a length with a plus": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "a length with a line": b"HTTP/1.1 200 OK\r\nContent-Length: 5_0\r\n\r\n",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
    "a coding we did not allow": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a whole head over the limit": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
    "a begun head over the limit": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,
}


@pytest.mark.parametrize("sentence", MALFORMED)
def test_malformed_heads_are_refused(sentence: str) -> None:
    with pytest.raises(ProtocolError):
        parse_head(MALFORMED[sentence])


def test_interim_answers_are_skipped_and_the_head_may_come_byte_by_byte() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    data = interim + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    for end in range(len(data)):
        assert parse_head(data[:end]) is None
        assert parse_head(bytearray(data[:end])) is None
    parsed = parse_head(bytearray(data + b"abc"))
    assert parsed is not None
    assert (parsed[0].status, parsed[1]) == (200, len(data))


def feed_all(body: Body, pieces: list[bytes]) -> bytes:
    return b"".join(body.feed(piece) for piece in pieces)


def split_by(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


CHUNKED = {
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""),
    "several": (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", b""),
    "capital hex and zeros in front": (b"00A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b""),
    "an extension": (b'5;a="b"\r\nhello\r\n5 ; x\r\nworld\r\n0;end\r\n\r\n', b"helloworld", b""),
    "trailers": (b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"x", b""),
    "CR LF inside the data": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r", b""),
    "bytes after the end": (b"1\r\nx\r\n0\r\n\r\nHTTP/1.1", b"x", b"HTTP/1.1"),
    "no data": (b"0\r\n\r\n", b"", b""),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("sentence", CHUNKED)
def test_chunks_in_any_split(sentence: str, size: int) -> None:
    data, payload, excess = CHUNKED[sentence]
    body = ChunkedBody()
    assert feed_all(body, split_by(data, size)) == payload
    assert (body.done, body.at_eof(), body.excess) == (True, True, excess)


BAD_CHUNKS = {
    "no hex": b"xyz\r\n",
    "an empty size": b"\r\n",
    "a plus": b"+5\r\nhello\r\n",
    "a prefix": b"0x5\r\nhello\r\n",
    "an underscore": b"1_0\r\n",
    "a blank in front": b" 5\r\nhello\r\n",
    "a minus": b"-5\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n",
    "bare LF": b"5\nhello\r\n",
    "data too long": b"5\r\nhello!\r\n",
    "data that ends with LF": b"5\r\nhello\n",
    "data that ends with CR alone": b"5\r\nhello\rx",
    "an extension without end": b"5;" + b"x" * 5000,
    "NUL in an extension": b"5;\0\r\n",
    "a bare LF in a trailer": b"0\r\nA: b\n\r\n",
    "endless trailers": b"0\r\n" + b"A: b\r\n" * 5000,
    "an endless trailer": b"0\r\nA: " + b"b" * 20_000,
}


@pytest.mark.parametrize("size", [1, 3, 100_000])
@pytest.mark.parametrize("sentence", BAD_CHUNKS)
def test_bad_chunks_are_refused(sentence: str, size: int) -> None:
    with pytest.raises(ProtocolError):
        feed_all(ChunkedBody(), split_by(BAD_CHUNKS[sentence], size))


def test_a_cut_anywhere_is_seen() -> None:
    data = b"5\r\nhello\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n"
    for end in range(len(data)):
        body = ChunkedBody()
        body.feed(data[:end])
        assert not body.at_eof()


ALIGNED = {
    "one whole chunk": ([b"5\r\nhello\r\n"], True),
    "two whole chunks": ([b"5\r\nhello\r\n1\r\nx\r\n"], True),
    "a part of a chunk": ([b"5\r\nhel"], False),
    "the rest of a chunk": ([b"5\r\nhel", b"lo\r\n"], False),
    "a whole chunk after a split one": ([b"5\r\nhel", b"lo\r\n", b"1\r\nx\r\n"], True),
    "a whole chunk and a part": ([b"5\r\nhello\r\n1\r\n"], False),
    "a whole chunk and a part of a size": ([b"5\r\nhello\r\n1"], False),
    "a size that was begun before": ([b"5", b"\r\nhello\r\n"], False),
    "an extension": ([b"5;x\r\nhello\r\n"], False),
    "an extension on the second": ([b"5\r\nhello\r\n1;x\r\ny\r\n"], False),
    "the last chunk": ([b"0\r\n\r\n"], False),
    "a chunk and the last chunk": ([b"5\r\nhello\r\n0\r\n\r\n"], False),
    "the last chunk begun": ([b"5\r\nhello\r\n0\r\n"], False),
}


@pytest.mark.parametrize("sentence", ALIGNED)
def test_aligned(sentence: str) -> None:
    pieces, aligned = ALIGNED[sentence]
    body = ChunkedBody()
    feed_all(body, pieces)
    assert body.aligned is aligned


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), min_size=1))
def test_what_chunk_frames_comes_out_whole(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(map(chunk, parts)) + b"0\r\n\r\nrest"
    body, at, out, step = ChunkedBody(), 0, b"", 0
    while at < len(data):
        piece = data[at : at + sizes[step % len(sizes)]]
        payload = body.feed(piece)
        if body.aligned:
            # Relayed with its own framing it must mean the same.
            again = ChunkedBody()
            assert again.feed(piece) == payload
            assert not again.done
        out += payload
        at += len(piece)
        step += 1
    assert (out, body.done, body.excess) == (b"".join(parts), True, b"rest")


def test_an_empty_chunk_is_no_chunk() -> None:
    assert chunk(b"") == b""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_length_body_keeps_what_comes_after_it(size: int) -> None:
    body = LengthBody(5)
    assert feed_all(body, split_by(b"helloHTTP/1.1", size)) == b"hello"
    assert (body.done, body.at_eof(), body.excess) == (True, True, b"HTTP/1.1")


def test_the_end_of_the_connection_in_a_body() -> None:
    short = LengthBody(5)
    short.feed(b"hell")
    assert not short.at_eof()
    until_eof = EofBody()
    assert until_eof.feed(b"hell") == b"hell"
    assert not until_eof.done
    assert until_eof.at_eof()


@given(st.binary(max_size=80))
def test_no_bytes_crash_the_parsers(data: bytes) -> None:
    for begun in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: "):
        with contextlib.suppress(ProtocolError):
            parse_head(begun + data + b"\r\n\r\n")
    with contextlib.suppress(ProtocolError):
        ChunkedBody().feed(data)
