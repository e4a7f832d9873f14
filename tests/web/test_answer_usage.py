"""What answers say they used, in the forms of OpenAI and of Anthropic."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.web.answer_usage import (
    KEY,
    UNKNOWN,
    Usage,
    id_of_answer,
    id_of_event,
    usage_in_event,
)
from parkmeter.web.answer_usage import usage_at_end as usage_from


def usage_at_end(body: bytes) -> Usage:
    return usage_from(body, body.rfind(KEY))


def at_end(document: object) -> Usage:
    """Return the usage of a JSON answer; the same whether it is written with blanks or without."""
    wide, narrow = json.dumps(document, indent=1), json.dumps(document, separators=(",", ":"))
    assert usage_at_end(wide.encode()) == usage_at_end(narrow.encode())
    return usage_at_end(narrow.encode())


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}, (9, 12)),
        ({"input_tokens": 75, "output_tokens": 18, "total_tokens": 93}, (75, 18)),
        ({"prompt_tokens": 8, "total_tokens": 8}, (8, 0)),
        ({"total_tokens": 56}, (56, 0)),
        ({"input_tokens": 25, "output_tokens": 503}, (25, 503)),
        (
            {
                "input_tokens": 50,
                "cache_creation_input_tokens": 248,
                "cache_read_input_tokens": 1800,
                "output_tokens": 503,
            },
            (2098, 503),
        ),
        (
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920},
                "cache_read_input_tokens": 1920,
            },
            (2006, 300),
        ),
        ({"type": "duration", "seconds": 9}, (None, None)),
        ({"input_tokens": -1, "output_tokens": 10**12}, (None, None)),
        ({"prompt_tokens": "9", "completion_tokens": 12}, (None, None)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ([1], (None, None)),
    ],
)
def test_the_numbers_of_an_answer_are_read_in_every_form_and_anything_else_is_unknown(
    usage, expected
):
    assert at_end({"id": "x", "usage": usage, "service_tier": None}) == Usage(*expected)


def test_an_answer_that_does_not_say_what_it_used_is_unknown():
    assert at_end({"generated_texts": ["usage"]}) == UNKNOWN
    assert at_end(["usage", {"usage": {"total_tokens": 5}}]) == UNKNOWN
    assert at_end("usage") == UNKNOWN
    assert usage_at_end(b"") == UNKNOWN


TEN = {"prompt_tokens": 10, "completion_tokens": 10}
FAKES = (
    '"usage": {"prompt_tokens": 1, "completion_tokens": 1}',
    '","usage":{"prompt_tokens":1,"completion_tokens":1},"x":"',
    '\\"usage\\": {"total_tokens": 1}',
    '"usage"',
    "\\",
)


@pytest.mark.parametrize("text", FAKES)
def test_a_text_that_looks_like_usage_is_not_taken_for_it(text):
    assert at_end({"usage": TEN, "text": text}) == Usage(10, 10)
    assert at_end({"text": text, "usage": TEN}) == Usage(10, 10)
    assert at_end({"text": text}) == UNKNOWN
    assert at_end({text: {"prompt_tokens": 1, "completion_tokens": 1}}) == UNKNOWN


def test_the_usage_of_an_object_within_is_not_that_of_the_answer():
    nested = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    assert at_end({"usage": TEN, "choices": [nested]}) == Usage(10, 10)
    assert at_end({"usage": TEN, "timings": nested, "more": nested}) == Usage(10, 10)
    assert at_end({"choices": [nested], "meta": nested}) == UNKNOWN
    assert at_end({"usage": {**TEN, "usage": {"total_tokens": 1}}}) == Usage(10, 10)


def test_usage_is_found_where_only_the_end_of_an_answer_is_kept():
    whole = json.dumps({"text": 'say "usage"', "usage": TEN, "last": [1, {"a": "}"}]}).encode()
    begin = whole.index(b'"usage": {')
    for first in range(begin + 1):
        assert usage_at_end(whole[first:]) == Usage(10, 10)
    assert usage_at_end(whole[begin + 1 :]) == UNKNOWN
    for last in range(begin, len(whole)):
        assert usage_at_end(whole[:last]) == UNKNOWN  # it broke off


json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(FAKES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "id", *FAKES]) | st.text(max_size=3), inner)
    ),
    max_leaves=12,
)


@given(before=st.dictionaries(st.text(max_size=5), json_values, max_size=3), after=json_values)
def test_the_answers_own_usage_is_found_among_anything(before, after):
    before.pop("usage", None)
    answer = {**before, "usage": TEN}
    assert usage_at_end(json.dumps(answer).encode()) == Usage(10, 10)
    text = json.dumps({**answer, "after": after}, ensure_ascii=False)
    if text.count('"usage"') <= 2:
        assert usage_at_end(text.encode("utf-8", "surrogatepass")) == Usage(10, 10)


@given(st.binary(max_size=80))
def test_no_bytes_raise_an_error(data):
    for body in (data, b'{"usage":' + data, data + b',"usage":{"total_tokens":1}}'):
        usage_at_end(body)
        usage_in_event(b"data:" + body, UNKNOWN)
        id_of_answer(body, whole=True)
        id_of_answer(b'{"id":"' + body, whole=False)
        id_of_event(b"data:" + body)
    usage_at_end(b'{"usage":' + b"[" * 60_000)
    usage_in_event(b'data: {"response":' + b'{"a":' * 60_000, UNKNOWN)


def after(*events: object) -> Usage:
    usage = UNKNOWN
    for event in events:
        usage = usage_in_event(b"data: " + json.dumps(event).encode(), usage)
    return usage


def test_chunks_of_completions_have_it_in_the_last_one_or_growing_in_each():
    def chunk(usage: object) -> dict[str, object]:
        return {"id": "chatcmpl-1", "choices": [], "usage": usage}

    last = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    assert after(chunk(None), chunk(None)) == UNKNOWN
    assert after(chunk(None), chunk(last)) == Usage(9, 3)
    growing = [{**last, "completion_tokens": n, "total_tokens": 9 + n} for n in (1, 2, 3)]
    assert after(*map(chunk, growing)) == Usage(9, 3)


def test_anthropics_stream_begins_with_the_input_and_its_output_is_unknown_until_it_is_over():
    start = {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "usage": {"input_tokens": 25, "cache_read_input_tokens": 100, "output_tokens": 1},
        },
    }
    delta = {"type": "message_delta", "usage": {"output_tokens": 15}}
    later = {"type": "message_delta", "usage": {"input_tokens": 25, "output_tokens": 40}}
    assert after(start) == Usage(125, None)
    assert after(start, delta) == Usage(125, 15)
    assert after(start, delta, later) == Usage(125, 40)


def test_responses_have_it_in_their_last_event():
    def event(kind: str, usage: object) -> dict[str, object]:
        return {"type": kind, "response": {"id": "resp_1", "usage": usage}, "sequence_number": 1}

    used = {"input_tokens": 37, "output_tokens": 11, "total_tokens": 48}
    assert after(event("response.created", None)) == UNKNOWN
    assert after(event("response.created", None), event("response.completed", used)) == (37, 11)
    assert after(event("response.incomplete", used)) == Usage(37, 11)


def test_other_lines_of_a_stream_change_nothing():
    known = Usage(1, 2)
    for line in (
        b'event: {"usage": {"total_tokens": 9}}',
        b': "usage"',
        b'data: "usage"',
        b'data: {"choices": [{"usage": {"total_tokens": 9}}]}',
        b'data: {"response": "usage", "message": {"usage": 1}}',
        b'data: {"message": [{"usage": {"total_tokens": 9}}]}',
    ):
        assert usage_in_event(line, known) == known


def test_the_id_of_an_answer_is_found_wherever_it_stands():
    assert id_of_answer(b'{"object": "file", "id": "file-1"}', whole=True) == "file-1"
    assert id_of_answer(b'{"choices": [{"id": "inner"}], "id": "c"}', whole=True) == "c"
    assert id_of_answer(b' { "id" : "resp_1", "output": [{"te', whole=False) == "resp_1"
    assert id_of_answer(b'{"output": [{"id": "inner"}', whole=False) is None
    for nothing in (
        b'{"id": 7}',
        b'{"id": "a b"}',
        b'{"id": ""}',
        b"[]",
        b'{"id": "%s"}' % (b"x" * 257),
    ):
        assert id_of_answer(nothing, whole=True) is id_of_answer(nothing, whole=False) is None


def test_the_id_of_a_stream_is_that_of_its_first_event():
    assert id_of_event(b'data: {"id": "chatcmpl-1", "choices": []}') == "chatcmpl-1"
    created = b'data: {"type": "response.created", "response": {"object": "r", "id": "resp_1"}}'
    assert id_of_event(created) == "resp_1"
    assert id_of_event(b'data:{"type":"message_start","message":{"id":"msg_1"}}') == "msg_1"
    assert id_of_event(b"data: [DONE]") is id_of_event(b": ping") is None
