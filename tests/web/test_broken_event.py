"""An event that is cut anywhere ends as JSON that a client can read, with the error in it."""

import json

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from parkmeter.client.connections import Response
from parkmeter.web.broken_event import rest_of_event
from tests.support.random_input import json_values

ERROR = {"error": {"message": "Closed.", "code": "meter_closed"}}
LAST = json.dumps(ERROR).encode()


def events(stream: bytes) -> list[str]:
    return [data for _, data in Response(200, {}, "", [stream]).events()]


def read_after(before: bytes, cut: bytes) -> list[object]:
    """Return the JSON of all events of a stream that ends within `cut`."""
    stream = before + cut + rest_of_event(before[-9:] + cut, LAST) + b"data: " + LAST + b"\n\n"
    return [json.loads(data) for data in events(stream)]


CHUNK = {
    "id": "chatcmpl-1",
    "usage": None,
    "n": [-1.5e-7, 0, 12, True, False, [], {}, [[1, {"a": [2]}]]],
    "choices": [{"delta": {"content": 'ü€😀 \\ " \n \u2028 \ud83d'}, "index": 0}],
}
WRITTEN = [
    json.dumps(CHUNK).encode(),
    json.dumps(CHUNK, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
    json.dumps(CHUNK, indent=1).replace("\n", "\ndata: ").encode(),
]


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("before", [b"", b'data: {"a": 1}\n\n', b": comment\r\n\r\n"])
@pytest.mark.parametrize("start", [b"data: ", b"data:", b"event: x\nid: 1\ndata: "])
def test_every_cut_leaves_json_that_says_why(text, before, start):
    event = start + text
    for end in range(len(event) + 1):
        cut = event[:end]
        *others, last = read_after(before, cut)
        assert last == ERROR
        if end <= len(start) - len(b"data: ") or cut == event:
            continue
        broken = others[-1] if len(others) > before.count(b"data") else None
        if broken is not None:
            assert broken["error"] == ERROR["error"], cut


@given(document=st.dictionaries(st.text(), json_values, max_size=4), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_object_cut_anywhere_is_completed(document, data):
    try:
        written = json.dumps(document, ensure_ascii=data.draw(st.booleans()), allow_nan=False)
    except ValueError:
        reject()  # Infinity is no JSON
    text = written.encode("utf-8", "replace")
    cut = data.draw(st.integers(0, max(0, len(text) - 1)))
    found = read_after(b"", b"data: " + text[:cut])
    assert found[0]["error"] == ERROR["error"]


@pytest.mark.parametrize(
    "cut",
    [
        b"dat",
        b"event: x",
        b": comm",
        b"data: [DONE]",
        b"data: [1, 2",
        b'data: {"a": 1}',
        b'data: {"a": 1}\nid: 3',
        b'data: {"a" 1',
        b"data: {]",
        b"data: {'a",
        b'data: {"a": tru1',
        b'ge": "the middle of an event whose beginning is not known',
        b"",
    ],
)
def test_what_is_no_beginning_of_an_object_is_ended_by_a_blank_line(cut):
    assert rest_of_event(cut, LAST) == b"\n\n"
