"""Random input for what the client reads: a gateway's JSON, a model's answers and event streams."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from parkmeter.cli.prompts import _texts
from parkmeter.client.calls import made
from parkmeter.client.connections import Response
from parkmeter.client.errors import ParkmeterProblem, problem_of
from parkmeter.client.models import Endpoint, JournalLine, NewToken, Receipt
from parkmeter.client.prompts import Event
from tests.support.random_input import JSON_PIECES, damaged, json_values

FEW_AND_MANY = pytest.mark.parametrize(
    "cases", [150, pytest.param(2_000, marks=[pytest.mark.extended, pytest.mark.timeout(900)])]
)
URL = "http://gateway.test/endpoints/a"
ENDPOINT = {
    "name": "a",
    "status": "running",
    "reason": "serving",
    "expires_at": "2026-06-22T08:24:12Z",
    "closes_at": None,
    "seconds_left": 598.25,
    "price_per_hour": 7.09,
    "api_resource": "a",
    "warn_minutes": [10, 2],
}
MODELS = (Endpoint.of, JournalLine.of, Receipt.of, NewToken.of)


@FEW_AND_MANY
def test_an_answer_is_what_it_should_be_or_no_gateway_s(run, cases):
    def check(body: bytes) -> None:
        for model in MODELS:
            try:
                made(model, Response(200, {}, URL, [body]))
            except ParkmeterProblem as problem:
                assert problem.code == "unexpected_answer"

    valid = json.dumps(ENDPOINT).encode()
    run("answers to the client", check, damaged([valid], [*JSON_PIECES, b'"x"', b"1e400"]), cases)


@FEW_AND_MANY
def test_a_member_of_any_value_is_taken_or_no_gateway_s(run, cases):
    def check(changed: dict[str, Any]) -> None:
        body = json.dumps({**ENDPOINT, **changed}).encode()
        try:
            made(Endpoint.of, Response(200, {}, URL, [body]))
        except ParkmeterProblem as problem:
            assert problem.code == "unexpected_answer"

    changes = st.dictionaries(st.sampled_from(list(ENDPOINT)), json_values, max_size=3)
    run("answers to the client", check, changes, cases)


@FEW_AND_MANY
def test_any_error_of_a_gateway_or_a_model_can_be_shown(run, cases):
    def check(case: tuple[int, object, str]) -> None:
        problem = problem_of(*case)
        assert problem.status == case[0]
        assert str(problem)
        assert isinstance(problem.document, dict)

    members = ["code", "title", "detail", "type", "status", "top_up"]
    documents = st.one_of(json_values, st.dictionaries(st.sampled_from(members), json_values))
    run(
        "answers to the client",
        check,
        st.tuples(st.integers(400, 599), documents, st.text()),
        cases,
    )


STREAMS = damaged(
    [
        b'data: {"text": "a"}\n\ndata: {"text": "b"}\n\n',
        b'event: message\nid: 1\ndata: {"choices": [{"delta": {"content": "a"}}]}\n\n',
        b"data: [DONE]\n\n",
        b": comment\nretry: 10\ndata: a\ndata: b\n\n",
    ],
    [
        *(b"data:", b"event:", b"id:", b"retry:", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"[DONE]"),
        *JSON_PIECES,
        *(b'"choices"', b'"delta"', b'"text"', b'"content"', b"\xe2\x80\xa8", b"\xc2\x85"),
    ],
)


@FEW_AND_MANY
def test_a_stream_of_events_is_printed_whatever_is_in_it(run, cases):
    def check(body: bytes) -> None:
        halves = [body[: len(body) // 2], body[len(body) // 2 :]]
        events = [Event(*event) for event in Response(200, {}, URL, halves).events()]
        shown = [event for event in events if event.event != "error"]
        assert "".join(_texts(iter(shown))).encode() is not None

    run("event streams", check, STREAMS, cases)


@FEW_AND_MANY
def test_a_whole_answer_is_printed_whatever_is_in_it(run, cases):
    def check(body: bytes) -> None:
        event = Event("message", body.decode("utf-8", "replace"), whole=True)
        assert "".join(_texts(iter([event]))).encode() is not None

    run("event streams", check, damaged([b'{"generated_texts": ["a"]}'], JSON_PIECES), cases)
