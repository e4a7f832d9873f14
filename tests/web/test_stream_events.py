"""Events of the gateway's own in a stream: of which form for which request."""

import json
from datetime import timedelta

import pytest

from parkmeter.errors import UpstreamError
from parkmeter.web.problems import problem_of
from parkmeter.web.routes import Loading
from parkmeter.web.stream_events import (
    between_events,
    error_event,
    is_encoded,
    is_event_stream,
    loading_form,
    no_stream,
    progress_event,
    progress_text,
    refusal_event,
)

CHAT, COMPLETIONS, MESSAGES, INVOCATIONS = (
    b"/v1/chat/completions",
    b"/v1/completions",
    b"/v1/messages",
    b"/invocations",
)
TEXT = "qwen is starting: 0:34 of usually 1:10"


def body(**members: object) -> bytes:
    return json.dumps({"stream": True, "model": "qwen", "messages": [], **members}).encode()


def shown(mode: Loading, path: bytes, asked: bytes) -> bytes:
    form = loading_form(mode, path, asked)
    assert form is not None
    return progress_event(form, TEXT, 1_800_000_000)


def data(event: bytes) -> dict:
    """Return the JSON of a single event."""
    assert event.endswith(b"\n\n")
    (line,) = [line for line in event.splitlines() if line.startswith(b"data: ")]
    return json.loads(line.removeprefix(b"data: "))


def test_a_chat_shows_the_progress_as_reasoning():
    chunk = data(shown(Loading.MESSAGES, CHAT + b"?x=y", body()))
    (choice,) = chunk["choices"]
    assert choice["delta"] == {"role": "assistant", "reasoning_content": TEXT + "\n"}
    assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", "qwen")
    assert (chunk["created"], choice["finish_reason"]) == (1_800_000_000, None)


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "function"}]},
        {"functions": []},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_a_chat_whose_answer_a_program_reads_gets_comments(members):
    assert shown(Loading.MESSAGES, CHAT, body(**members)) == f": {TEXT}\n\n".encode()


def test_members_that_are_null_are_as_good_as_absent():
    asked = body(tools=None, response_format=None)
    assert b"reasoning_content" in shown(Loading.MESSAGES, CHAT, asked)


@pytest.mark.parametrize(
    ("mode", "path"),
    [
        (Loading.COMMENTS, CHAT),
        (Loading.MESSAGES, COMPLETIONS),
        (Loading.MESSAGES, b"/v1/responses"),
        (Loading.MESSAGES, INVOCATIONS),
    ],
)
def test_everything_else_gets_comments(mode, path):
    assert shown(mode, path, body()) == f": {TEXT}\n\n".encode()


@pytest.mark.parametrize("mode", [Loading.COMMENTS, Loading.MESSAGES])
def test_anthropics_messages_get_pings(mode):
    event = shown(mode, MESSAGES, body())
    assert (event.splitlines()[0], data(event)) == (b"event: ping", {"type": "ping"})


@pytest.mark.parametrize(
    "asked",
    [
        b'{"messages": []}',
        b'{"stream": false}',
        b'{"stream": "true"}',
        b'{"stream": 1}',
        b'{"options": {"stream": true}}',
        b'{"stream": true, "stream": true}',
        b'[{"stream": true}]',
        b'{"stream": true',
        b"",
        b"\xff",
    ],
)
def test_what_asks_for_no_stream_has_no_form(asked):
    assert loading_form(Loading.MESSAGES, CHAT, asked) is None


def test_nothing_is_read_where_it_is_off():
    assert loading_form(Loading.OFF, CHAT, body()) is None


def test_a_text_of_several_lines_stays_one_comment():
    form = loading_form(Loading.COMMENTS, CHAT, body())
    assert form is not None
    event = progress_event(form, "out of\nmemory\r\n\r\ndata: x", 0)
    assert event == b": out of memory data: x\n\n"


@pytest.mark.parametrize(
    ("elapsed", "usual", "text"),
    [
        (34, 70, TEXT),
        (94, 70, "qwen is starting: 1:34 instead of usually 1:10"),
        (5, None, "qwen is starting: 0:05 so far"),
        (-3, 3700, "qwen is starting: 0:00 of usually 61:40"),
    ],
)
def test_the_progress_is_told_in_minutes_and_seconds(elapsed, usual, text):
    usual_start = None if usual is None else timedelta(seconds=usual)
    assert progress_text("qwen", timedelta(seconds=elapsed), usual_start) == text


@pytest.mark.parametrize(
    ("last", "between"),
    [
        (b"data: x\n\n", True),
        (b"data: x\r\n\r\n", True),
        (b"data: x\r\r", True),
        (b"data: x\r\n\n", True),
        (b"data: x\n\r\n", True),
        (b"data: x\n", False),
        (b"data: x\r\n", False),
        (b"data: x", False),
        (b"data: \n\nx", False),
    ],
)
def test_an_event_ends_with_a_blank_line(last, between):
    assert between_events(last) is between


def test_only_a_plain_stream_of_events_can_be_ended_by_one():
    def fields(kind: bytes, coding: bytes = b"") -> list[tuple[bytes, bytes]]:
        return [(b"content-type", kind), (b"content-encoding", coding)]

    assert is_event_stream(fields(b"text/event-stream"))
    assert is_event_stream(fields(b"Text/Event-Stream; charset=utf-8"))
    assert not is_event_stream(fields(b"application/json"))
    assert not is_event_stream([])
    assert is_encoded(fields(b"text/event-stream", b"gzip"))
    assert not is_encoded(fields(b"text/event-stream", b"identity"))


def test_a_problem_is_the_error_that_openais_clients_raise():
    error = data(error_event(problem_of(UpstreamError("It broke off.")), CHAT))["error"]
    assert (error["message"], error["code"]) == ("It broke off.", "upstream_unreachable")
    assert error_event(problem_of(UpstreamError("x")), INVOCATIONS).startswith(b"data: ")


def test_a_problem_is_an_event_of_its_own_for_anthropics_clients():
    event = error_event(problem_of(UpstreamError("It broke off.")), MESSAGES + b"?beta=true")
    assert event.startswith(b"event: error\n")
    members = data(event)
    assert (members["type"], members["error"]["type"]) == ("error", "api_error")
    assert members["error"]["message"] == "It broke off."


def test_a_model_servers_own_error_is_passed_on_with_its_status():
    asked = b'{"error": {"message": "too long", "type": "BadRequestError", "code": 400}}'
    error = data(refusal_event(400, asked, CHAT))["error"]
    assert error == {
        "status": 400,
        "message": "too long",
        "type": "BadRequestError",
        "code": 400,
    }
    theirs = {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}
    event = refusal_event(400, json.dumps(theirs).encode(), MESSAGES)
    assert (event.splitlines()[0], data(event)) == (b"event: error", theirs)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b'{"object": "error", "message": "too long", "code": 400}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"error": {"detail": 1}, "message": "too long"}', "too long"),
        (b" too long\n", "too long"),
        (b'{"odd": 1}', "The model server answered 422 and gave no reason."),
        (b"", "The model server answered 422 and gave no reason."),
        (None, "The model server answered 422 and gave no reason."),
    ],
)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_whatever_else_a_model_server_answers_is_put_into_the_form(answer, message, path):
    error = data(refusal_event(422, answer, path))["error"]
    assert (error["message"], error["type"]) == (message, "invalid_request_error")


def test_an_error_in_another_dialects_form_keeps_its_message():
    theirs = b'{"error": {"message": "too long", "code": 400}}'
    assert data(refusal_event(400, theirs, MESSAGES))["error"]["message"] == "too long"


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_an_error_with_what_is_no_number_becomes_no_broken_json(number, path):
    event = refusal_event(400, b'{"error": {"message": "no", "code": %b}}' % number, path)
    assert b'"message": "no"' not in event
    assert data(event)["error"]["code"] == "model_refused"


def test_a_long_page_of_an_error_is_cut():
    error = data(refusal_event(500, b"x" * 100_000, CHAT))["error"]
    assert len(error["message"]) == 2000


def test_an_answer_that_is_no_stream_says_what_to_do():
    error = data(error_event(no_stream("application/json"), CHAT))["error"]
    assert "application/json" in error["message"]
    assert 'loading = "off"' in error["message"]
