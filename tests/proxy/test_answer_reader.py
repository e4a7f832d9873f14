"""Readers of answers: the same whatever the pieces, and bounded in what they keep."""

import gzip
import json
import zlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.proxy.answer_reader import READERS, AnswerReader, EventReader, JsonReader, Readers
from parkmeter.web.answer_usage import UNKNOWN, Usage


def event(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
RESPONSE = {"input_tokens": 37, "output_tokens": 11, "total_tokens": 48}
CHAT = (
    event({"id": "chatcmpl-1", "choices": [{"delta": {"content": "h\u00e9"}}], "usage": None})
    + event({"id": "chatcmpl-1", "choices": [], "usage": USAGE})
    + b"data: [DONE]\n\n"
)
ANTHROPIC = (
    b"event: message_start\n"
    + event({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 25}}})
    + b"event: ping\n"
    + event({"type": "ping"})
    + b"event: message_delta\n"
    + event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 15}})
)
RESPONSES = (
    b": a comment\n\nevent: response.created\n"
    + event({"type": "response.created", "response": {"id": "resp_1", "usage": None}})
    + b"event: response.completed\n"
    + event({"type": "response.completed", "response": {"id": "resp_1", "usage": RESPONSE}})
)
STREAMS = {
    "chat": (CHAT, Usage(9, 3), "chatcmpl-1"),
    "anthropic": (ANTHROPIC, Usage(25, 15), "msg_1"),
    "responses": (RESPONSES, Usage(37, 11), "resp_1"),
    "no end": (RESPONSES.rstrip(), Usage(37, 11), "resp_1"),
    "unknown": (event({"id": "c", "choices": []}), UNKNOWN, "c"),
}


def read(reader: AnswerReader, pieces: Iterable[bytes]) -> tuple[Usage, str | None]:
    for piece in pieces:
        reader.feed(piece)
    return reader.usage(), reader.answer_id()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_at_any_byte_says_the_same(name, ending):
    stream, *expected = STREAMS[name]
    stream = stream.replace(b"\n", ending)
    assert read(EventReader(), [stream]) == tuple(expected)
    for cut in range(1, len(stream)):
        assert read(EventReader(), [stream[:cut], stream[cut:]]) == tuple(expected)
    for length in (1, 2, 3, 7):
        pieces = [stream[at : at + length] for at in range(0, len(stream), length)]
        assert read(EventReader(), pieces) == tuple(expected)


@given(name=st.sampled_from([*STREAMS]), cuts=st.lists(st.integers(0, 600), max_size=12))
def test_a_stream_in_any_pieces_says_the_same(name, cuts):
    stream, *expected = STREAMS[name]
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in pairwise(edges)]
    assert read(EventReader(), filter(None, pieces)) == tuple(expected)


def test_a_json_answer_that_is_cut_at_any_byte_says_the_same():
    answer = json.dumps({"id": "c", "choices": ['"usage"'], "usage": USAGE, "x": [{}]}).encode()
    for cut in range(1, len(answer)):
        found = read(JsonReader(), [answer[:cut], answer[cut:]])
        assert found == (Usage(9, 3), "c")
    assert read(JsonReader(), [answer[at : at + 1] for at in range(len(answer))])[0] == (9, 3)


@pytest.mark.parametrize("piece", [1000, 65_536, 10**9])
def test_of_a_long_json_answer_only_the_end_is_kept(piece):
    answer = json.dumps({"id": "c", "data": ["x" * 20] * 50_000, "usage": USAGE}).encode()
    reader = JsonReader()
    for at in range(0, len(answer), piece):
        reader.feed(answer[at : at + piece])
        assert len(reader._tail) <= 2 * 65_536
    assert (reader.usage(), reader.answer_id()) == (Usage(9, 3), "c")
    early = json.dumps({"usage": USAGE, "data": ["x" * 20] * 50_000}).encode()
    assert read(JsonReader(), [early]) == (UNKNOWN, None)


def test_of_a_stream_only_a_line_of_bounded_length_is_kept():
    reader = EventReader()
    long = b'data: {"usage": {"total_tokens": 1}, "x": "' + b"x" * 2**21 + b'"}\n\n'
    kept = 0
    for at in range(0, len(long), 50_000):
        reader.feed(long[at : at + 50_000])
        kept = max(kept, len(reader._rest))
    assert kept <= 2**20 + 50_000
    assert reader.usage() == UNKNOWN
    assert read(reader, [CHAT])[0] == Usage(9, 3)
    short = event({"response": {"output": "x" * 500_000, "usage": RESPONSE}})
    assert read(EventReader(), [short[:300_000], short[300_000:]])[0] == Usage(37, 11)


JSON, EVENTS = JsonReader, EventReader


@pytest.mark.parametrize(
    ("content_type", "reader"),
    [
        (b"application/json", JSON),
        (b"application/json; charset=utf-8", JSON),
        (b"Application/JSON;charset=UTF-8", JSON),
        (b"text/event-stream", EVENTS),
        (b"text/event-stream;charset=utf-8", EVENTS),
        (b"text/plain", None),
        (b"audio/mpeg", None),
        (b"application/problem+json", None),
        (None, None),
    ],
)
def test_json_and_events_are_read_and_nothing_else(content_type, reader):
    for _ in range(2):
        made = READERS[content_type]()
        assert made is None if reader is None else type(made) is reader


def test_few_spellings_of_types_are_kept():
    readers = Readers({b"application/json": JSON})
    for n in range(500):
        assert type(readers[b"application/json; x=%d" % n]()) is JSON
        assert readers[b"text/x-%d" % n]() is None
    assert len(readers) < 100


@pytest.mark.parametrize("level", [0, 9])
def test_a_compressed_answer_is_unknown(level):
    for pack in (gzip.compress, zlib.compress):
        body = json.dumps({"choices": ["x" * 99], "usage": USAGE}).encode()
        assert read(JsonReader(), [pack(body, level)]) == (UNKNOWN, None)
        assert read(EventReader(), [pack(event({"usage": USAGE}), level)]) == (UNKNOWN, None)
