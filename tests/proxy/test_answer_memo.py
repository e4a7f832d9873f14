"""Answers whose head is known: not parsed again, and yet the same as if they were."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_heads import LONGEST_HEAD, MOST_HEADS, MOST_MISSES, AnswerHeads
from parkmeter.proxy.answer_parser import State
from parkmeter.proxy.upstream_connection import UpstreamConnection
from tests.proxy.test_upstream_pool import Wire

HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: m\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n"
)
KEPT = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")


def plain(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


@dataclass(frozen=True)
class Outcome:
    """All that a requester can know of an answer, and whether its connection is kept."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    length: bytes | None
    content_type: bytes | None
    document: bool
    body: bytes
    state: State
    error: bool
    kept: bool


class Line:
    """A connection without a network, and its requester."""

    def __init__(self, heads: AnswerHeads | None) -> None:
        self.connection = UpstreamConnection(heads)
        self.connection.connection_made(Wire())  # type: ignore[arg-type]
        self.body = b""
        self.error = False
        self.chunks = 0

    def received(self) -> None:
        self.body += self.connection.take()

    def chunk_received(self, framed: bytes, data: bytes) -> bool:
        assert framed == b"%x\r\n%b\r\n" % (len(data), data)
        self.body += data
        self.chunks += 1
        return True

    def failed(self, _error: UpstreamError) -> None:
        self.error = True

    def server_full(self) -> None:
        raise AssertionError

    def server_free(self) -> None:
        raise AssertionError

    def ask(self, *pieces: bytes, headless: bool = False) -> Outcome:
        """Send a request, and return what becomes of an answer that arrives in these pieces."""
        connection = self.connection
        if connection.state is not State.IDLE:
            return Outcome(0, (), None, None, False, b"", connection.state, True, False)
        self.body, self.error = b"", False
        connection.begin(self, b"GET / HTTP/1.1\r\n\r\n", headless=headless)
        connection.request_sent = True
        for piece in pieces:
            connection.data_received(piece)
        status, headers = connection.status, tuple(connection.headers)
        state, kept = connection.state, connection.recycle()
        return Outcome(
            status,
            headers,
            connection.length,
            connection.content_type,
            connection.document,
            self.body,
            state,
            self.error,
            kept,
        )

    @property
    def known(self) -> bool:
        """True if the head of the last answer was not parsed."""
        return self.connection.known is not None


def lines() -> tuple[Line, Line]:
    """Return a connection that learns heads and one that has every byte parsed."""

    async def make() -> tuple[Line, Line]:
        return Line(AnswerHeads()), Line(None)

    return asyncio.run(make())


def both(learning: Line, parsing: Line, *pieces: bytes, headless: bool = False) -> Outcome:
    """Return the outcome of an answer that is the same on both."""
    expected = parsing.ask(*pieces, headless=headless)
    assert learning.ask(*pieces, headless=headless) == expected
    return expected


def warm() -> tuple[Line, Line]:
    """Return connections of which the first knows `HEAD`."""
    learning, parsing = lines()
    both(learning, parsing, plain(b"{}"))
    assert not learning.known
    both(learning, parsing, plain(b"{}"))
    assert learning.known
    return learning, parsing


@pytest.mark.parametrize("body", [b"", b"0", b"{}", b"x" * 99, b"\r\n\r\n" * 30_000])
def test_a_known_head_with_any_length_is_not_parsed(body):
    learning, parsing = warm()
    outcome = both(learning, parsing, plain(body))
    assert learning.known
    assert (outcome.body, outcome.length) == (body, b"%d" % len(body))
    assert (outcome.content_type, outcome.document) == (b"application/json", False)
    assert outcome.kept


ODD = {
    "a length with a zero before it": plain(b"x" * 70, HEAD.replace(b"%d", b"0%d")),
    "a length with a sign": plain(b"{}", HEAD.replace(b"%d", b"+%d")),
    "a length with a blank behind it": plain(b"{}", HEAD.replace(b"%d", b"%d ")),
    "a length of too many digits": HEAD.replace(b"%d", b"1" * 19) + b"{}",
    "a length that is none": HEAD.replace(b"%d", b"2x") + b"{}",
    "no digits": HEAD.replace(b"%d", b"") + b"{}",
    "two lengths": plain(b"{}", HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n")),
    "no length": HEAD.replace(b"Content-Length: %d\r\n", b"") + b"{}",
    "chunks": HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    + b"2\r\n{}\r\n0\r\n\r\n",
    "chunks and a length": plain(
        b"{}", HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    ),
    "another answer behind it": plain(b"{}") + plain(b"{}"),
    "a byte behind it": plain(b"{}") + b"x",
    "a line end behind it": plain(b"{}") + b"\r\n",
    "an interim answer before it": b"HTTP/1.1 103 Early\r\nContent-Length: 2\r\n\r\n"
    + plain(b"{}"),
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a line end before it": b"\r\n" + plain(b"{}"),
    "close": plain(b"{}", HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
    "an older version": plain(b"{}", HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")),
    "a bare line feed": plain(b"{}", HEAD.replace(b"Server: m\r\n", b"Server: m\n")),
    "a bare carriage return": plain(b"{}", HEAD.replace(b"Server: m\r\n", b"Server: m\r")),
    "a folded line": plain(b"{}", HEAD.replace(b"Server: m", b"Server: m\r\n n")),
    "a zero byte": plain(b"{}", HEAD.replace(b"Server: m", b"Server: \0")),
    "no content": plain(b"{}", HEAD.replace(b"200 OK", b"204 No Content")),
    "not modified": plain(b"{}", HEAD.replace(b"200 OK", b"304 Not Modified")),
    "a cookie": plain(b"{}", HEAD.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")),
    "a long head": plain(b"{}", HEAD.replace(b"m", b"m" * LONGEST_HEAD)),
    "another protocol": plain(b"{}", HEAD.replace(b"HTTP/1.1 200", b"HTTP/1.1 101")),
    "no status": plain(b"{}", HEAD.replace(b" 200 OK", b"")),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_head_is_parsed_however_often_it_comes(name):
    answer = ODD[name]
    for learning, parsing in (warm(), lines()):
        for _ in range(3):
            both(learning, parsing, answer)
            assert not learning.known, "by its bytes"
    # On connections of their own, for most of them end theirs.
    heads = AnswerHeads()
    for _ in range(3):
        one = Line(heads)
        both(one, Line(None), answer)
        assert not one.known


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"{}", KEPT.replace(b"HTTP/1.1", b"HTTP/1.0")),
        plain(b"{}", KEPT.replace(b"keep-alive", b"keep-alive, x-hop\r\nX-Hop: 1")),
        plain(b"{}", HEAD.replace(b"Content-Length: ", b"content-length:")),
        plain(b"{}", HEAD.replace(b"200 OK", b"503 ")),
        plain(b"{}", HEAD.replace(b"200 OK", b"200")),
        plain(b"", HEAD),
    ],
)  # fmt: skip
def test_whether_the_connection_is_kept_is_what_the_parser_had_found(answer):
    learning, parsing = lines()
    for turn in range(3):
        assert both(learning, parsing, answer).kept
        assert learning.known == (turn > 0)


def test_a_head_is_parsed_in_answer_to_a_head_request():
    learning, parsing = warm()
    outcome = both(learning, parsing, HEAD % 7, headless=True)
    assert (outcome.state, outcome.kept, learning.known) == (State.DONE, False, False)


def test_an_answer_may_be_cut_anywhere():
    """Behind the head it is known all the same; within it the parser reads on, between two known ones."""  # noqa: E501
    learning, parsing = warm()
    answer = plain(b'{"n": 1}\r\n')
    for cut in range(1, len(answer)):
        assert both(learning, parsing, answer[:cut], answer[cut:]).kept
        assert learning.known == (cut >= answer.index(b"{")), cut
        both(learning, parsing, answer)
        assert learning.known
    both(learning, parsing, *(answer[at : at + 1] for at in range(len(answer))))
    assert not learning.known


@pytest.mark.parametrize("behind", [b"\r\n", b"x", plain(b"{}"), b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_what_comes_behind_a_known_answer_counts_as_it_does_behind_any(behind):
    for pieces in (
        (plain(b"{}"), behind),
        (plain(b"{}")[:-1], b"}" + behind),
        (plain(b"{}")[:-2], b"{}", behind),
        (plain(b"{}") + behind,),
    ):
        learning, parsing = warm()
        both(learning, parsing, *pieces)
        both(learning, parsing, plain(b"{}"))


@pytest.mark.parametrize("begun", [0, 1])
def test_a_known_answer_that_breaks_off_is_broken(begun):
    for line in warm():
        line.connection.begin(line, b"", headless=False)
        line.connection.data_received(plain(b"{}")[: begun - 2])
        line.connection.eof_received()
        assert (line.error, line.connection.state) == (True, State.CLOSED)


def test_a_head_learned_on_one_connection_is_known_on_all():
    heads = AnswerHeads()
    Line(heads).ask(plain(b"{}"))
    other = Line(heads)
    other.ask(plain(b"[]"))
    assert other.known


def test_only_so_many_heads_are_kept_and_the_oldest_gives_way():
    heads = AnswerHeads()
    line = Line(heads)
    for number in range(MOST_HEADS):
        head = HEAD.replace(b"m\r", b"%03d\r" % number)
        line.ask(plain(b"{}", head))
        line.ask(plain(b"{}", head))
        assert line.known
    line.ask(plain(b"{}"))
    assert len(heads) == MOST_HEADS
    for number, known in ((MOST_HEADS - 1, True), (1, True), (0, False)):
        line.ask(plain(b"{}", HEAD.replace(b"m\r", b"%03d\r" % number)))
        assert line.known == known


def test_heads_that_never_repeat_are_learned_no_longer_and_those_that_do_are_again():
    heads = AnswerHeads()
    line = Line(heads)
    misses = 0
    for number in range(10 * MOST_MISSES):
        before = tuple(heads._known)
        line.ask(plain(b"{}", HEAD.replace(b"m\r", b"%03d\r" % number)))
        assert not line.known
        misses += tuple(heads._known) != before
    assert misses < 2 * MOST_MISSES
    for _ in range(MOST_MISSES + 1):
        line.ask(plain(b"{}"))
    assert line.known


# ── Chunks ──────────────────────────────────────────────────────────────────────────────────────

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunked(*pieces: bytes) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


@pytest.mark.parametrize(
    "size", [1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65_535, 65_536, 200_000]
)
def test_a_chunk_that_comes_alone_is_not_parsed(size):
    learning, parsing = lines()
    pieces = [CHUNKED, *chunked(b"first", b"\r" * size, b"last"), b"0\r\n\r\n"]
    assert both(learning, parsing, *pieces).kept
    assert (learning.chunks, parsing.chunks) == (2, 0)


@pytest.mark.parametrize(
    "odd",
    [
        b"05\r\nhello\r\n",
        b"A\r\n0123456789\r\n",
        b"5;x=y\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"5\r\nhello\r\n5",
        b"5\r\nhello\r\n5\r\n",
        b"5\r\nhello\r",
        b"5\r\nhello",
        b"5\r\nhe",
        b"5\r\n",
        b"5",
        b"6\r\nhello\r\n",
        b"4\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\nX: 1\r\n\r\n",
        b"\r\n5\r\nhello\r\n",
        b"1\n\r\nhello\r\n",
        b"x\r\nhello\r\n",
        b"-1\r\nhello\r\n",
    ],
)
def test_a_read_that_is_not_one_chunk_is_parsed(odd):
    for tail in (
        [],
        chunked(b"next", b"more"),
        [b"hello\r\n"],
        [b"\r\n"],
        [b"\n", *chunked(b"next")],
        [b"0\r\n\r\n"],
    ):
        learning, parsing = lines()
        both(learning, parsing, CHUNKED, *chunked(b"first", b"second"), odd, *tail)
        both(learning, parsing, plain(b"{}"))


@settings(max_examples=400, deadline=None)
@example([b"a", b"b", b"c"], [78, 84, 90])
@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.just(b"5\r\na\r\n"), min_size=1, max_size=8),
    st.lists(st.integers(1, 300), max_size=8),
)  # fmt: skip
def test_a_stream_may_be_cut_anywhere(pieces, cuts):
    answer = b"".join([CHUNKED, *chunked(*pieces), b"0\r\n\r\n"])
    places = sorted({0, *(cut for cut in cuts if cut < len(answer)), len(answer)})
    learning, parsing = lines()
    reads = [answer[begin:end] for begin, end in pairwise(places)]
    for _ in range(2):
        assert both(learning, parsing, *reads).body == b"".join(pieces)
    assert both(learning, parsing, CHUNKED, *chunked(*pieces), b"0\r\n\r\n").kept
    both(learning, parsing, plain(b"{}"))


_PARTS = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n"),
        *(b"Connection: close\r\n", b"X: y\r\n", b"2", b"0", b"a", b" ", b":", b"\0"),
        *(b"\r\n", b"\n", b"\r", b"{}", b"1\r\n"),
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 90), st.integers(0, 30), st.lists(_PARTS, max_size=4), st.integers(1, 100))
def test_a_mutated_answer_is_the_same_with_heads_known_and_without(at, removed, put, cut):
    learning, parsing = warm()
    answer = plain(b'{"n": 1}')
    answer = answer[:at] + b"".join(put) + answer[at + removed :]
    for _ in range(3):
        both(learning, parsing, answer[:cut], answer[cut:])
    both(learning, parsing, answer)
    both(learning, parsing, plain(b"{}"))
