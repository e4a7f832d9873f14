"""Requests that the client retries, those that it does not, and for how long."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from parkmeter import Client
from parkmeter.client import (
    ConflictProblem,
    MeterClosedProblem,
    NotServingProblem,
    ParkmeterProblem,
    RefusedProblem,
    UnreachableError,
    transport,
)
from tests.support.contract_server import ADMIN, ContractServer, endpoint, problem

BUSY = (*problem(503, "store_busy", "Again."), {"Retry-After": "0"})


@pytest.fixture
def server() -> Iterator[ContractServer]:
    with ContractServer() as made:
        yield made


@pytest.fixture
def client(server) -> Iterator[Client]:
    with Client(server.url, ADMIN, patience=5) as made:
        yield made


def test_a_top_up_whose_answer_got_lost_is_sent_again_and_counts_once(server, client):
    server.failures = ["lost", "drop", BUSY]
    change = client.top_up("flan-t5", 30)
    assert change.left.total_seconds() == 3600 + 1800
    keys = {headers["idempotency-key"] for _, _, headers, _ in server.seen}
    assert len(server.seen) == 4
    assert len(keys) == 1


def test_two_top_ups_have_two_keys(server, client):
    client.top_up("flan-t5", 1)
    client.top_up("flan-t5", 1)
    assert len({headers["idempotency-key"] for _, _, headers, _ in server.seen}) == 2


def test_an_eject_sends_the_expiry_as_it_was_seen_and_is_sent_again_under_one_key(server, client):
    server.failures = [None, "lost"]
    client.eject("flan-t5")
    (_, first, *_), *ejects = server.seen
    assert first == "/endpoints/flan-t5"
    assert [path for _, path, *_ in ejects] == ["/endpoints/flan-t5/eject"] * 2
    assert all(body == {"expires_at": "2026-11-22T19:00:00+00:00"} for *_, body in ejects)
    assert len({headers["idempotency-key"] for _, _, headers, _ in ejects}) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        "drop",
        BUSY,
        (*problem(502, "upstream_unreachable", "Again."), {"Retry-After": "0"}),
        problem(429, "throttled", "Slower."),
    ],
)
def test_a_question_is_asked_again_when_the_trouble_passes(server, client, trouble):
    server.failures = [trouble]
    assert client.endpoint("flan-t5").name == "flan-t5"
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (problem(400, "invalid_request", "No."), ParkmeterProblem),
        (problem(401, "token_missing", "No."), RefusedProblem),
        (problem(403, "scope_missing", "No."), RefusedProblem),
        (problem(402, "meter_closed", "No."), MeterClosedProblem),
        (problem(409, "device_busy", "No.", device="gpu0"), ConflictProblem),
        (problem(429, "over_budget", "No."), ParkmeterProblem),
        (problem(503, "clock_stopped", "No."), NotServingProblem),
        (problem(500, "internal", "No."), ParkmeterProblem),
    ],
)
def test_what_does_not_pass_is_raised_at_once_with_its_code_and_data(server, client, trouble, kind):
    server.failures = [trouble]
    with pytest.raises(kind) as raised:
        client.top_up("flan-t5", 1)
    assert len(server.seen) == 1
    status, document = trouble
    assert raised.value.status == status
    assert raised.value.code == document["code"]
    assert raised.value.document == document


def test_an_unknown_problem_keeps_all_its_members(server, client):
    server.failures = [(418, {"code": "teapot", "detail": "Short and stout.", "spout": [1, 2]})]
    with pytest.raises(ParkmeterProblem) as raised:
        client.endpoints()
    assert type(raised.value) is ParkmeterProblem
    assert (raised.value.code, raised.value.data) == ("teapot", {"spout": [1, 2]})
    assert "Short and stout." in str(raised.value)


def test_an_error_that_is_no_problem_says_what_came(server, client):
    server.failures = [(404, {"message": "Missing Authentication Token"})]
    with pytest.raises(ParkmeterProblem) as raised:
        client.endpoints()
    assert raised.value.code == "http_404"
    assert "Missing Authentication Token" in raised.value.detail


def test_a_good_answer_of_another_server_is_not_taken_for_a_gateways(server, client):
    server.failures = [(200, {"hello": "world"}), (200, "<html>")]
    for _ in range(2):
        with pytest.raises(ParkmeterProblem) as raised:
            client.endpoints()
        assert raised.value.code == "unexpected_answer"


def test_it_does_not_go_on_for_ever(server):
    server.failures = ["drop"] * 1000
    begun = time.monotonic()
    with Client(server.url, ADMIN, patience=0.5) as client, pytest.raises(UnreachableError):
        client.endpoints()
    assert time.monotonic() - begun < 3
    assert 1 < len(server.seen) < 20


def test_a_retry_after_beyond_the_patience_is_not_waited_for(server, client):
    server.failures = [(*problem(503, "store_busy", "Later."), {"Retry-After": "3600"})]
    with pytest.raises(NotServingProblem, match="Later"):
        client.endpoints()


def test_a_request_that_was_sent_once_may_be_done_although_the_last_attempt_was_refused():
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def take_one_request_and_end() -> None:
        connection, _ = listener.accept()
        listener.close()
        connection.recv(65536)
        connection.close()

    gateway = threading.Thread(target=take_one_request_and_end)
    gateway.start()
    with Client(url, ADMIN, patience=0.5) as client, pytest.raises(UnreachableError) as raised:
        client.top_up("flan-t5", 1)
    gateway.join()
    assert raised.value.sent
    assert raised.value.detail.startswith(f"No answer at {url}.")
    assert raised.value.detail.endswith("was sent, so it may have been carried out.")


def test_a_refusal_for_now_after_a_lost_answer_says_that_it_may_be_done(server, client):
    later = (*problem(503, "store_busy", "Later."), {"Retry-After": "3600"})
    for failures, sent in (([later], False), (["lost", later], True)):
        server.failures = [*failures]
        with pytest.raises(NotServingProblem, match="Later") as raised:
            client.top_up("flan-t5", 1)
        assert raised.value.earlier_sent is sent


def test_an_answer_that_cannot_be_decoded_is_a_plain_error(server, client):
    server.failures = [(200, {"all": 1}, {"Content-Encoding": "gzip"})]
    with pytest.raises(UnreachableError, match="broke off"):
        client.invoke("flan-t5", {})


def test_a_gateway_that_comes_back_within_the_patience_is_found():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = ContractServer(port=port)
    back = threading.Timer(0.3, server.__enter__)
    back.start()
    try:
        with Client(f"http://127.0.0.1:{port}", ADMIN, patience=10) as client:
            assert client.top_up("flan-t5", 1).left.total_seconds() == 3660
    finally:
        back.join()
        server.__exit__()


def test_a_prompt_that_may_have_reached_the_model_is_not_sent_again(server, client):
    server.failures = ["lost"]
    with pytest.raises(UnreachableError):
        client.invoke("flan-t5", {"text_inputs": "hi"})
    assert len(server.seen) == 1


def test_a_prompt_waits_for_an_endpoint_on_its_way_and_tells_why(server, client):
    loading = problem(503, "not_serving", "'flan-t5' is starting: loading.")
    server.failures = [(*loading, {"Retry-After": "0"})] * 3
    reasons = []
    reply = client.invoke("flan-t5", {"text_inputs": "hi"}, wait=20, on_wait=reasons.append)
    assert reply.json() == {"echo": {"text_inputs": "hi"}}
    assert [reason.detail for reason in reasons] == ["'flan-t5' is starting: loading."] * 3
    assert server.seen[0][2]["prefer"] == "wait=20"


def test_a_prompt_that_was_held_is_sent_again_without_another_wait(server, client, monkeypatch):
    monkeypatch.setattr(transport, "_LONGEST_PAUSE", 0.0)  # as if the answer had taken that long
    held = {"Retry-After": "60", "Preference-Applied": "wait=20"}
    server.failures = [(*problem(503, "not_serving", "Loading."), held)]
    assert client.invoke("flan-t5", {"text_inputs": "hi"}, wait=20).json()


def test_a_stream_whose_start_takes_longer_than_one_hold_is_asked_for_again(server, client):
    error = {"message": "'flan-t5' is starting.", "code": "not_serving", "status": 503}
    progress = {"id": "chatcmpl-parkmeter", "choices": [{"delta": {"reasoning_content": "…"}}]}
    events = [[progress, {"error": error}], [{"text": "a"}]]
    server.prompts = lambda _asked: (
        200,
        "".join(f"data: {json.dumps(event)}\n\n" for event in events.pop(0)),
    )
    reasons = []
    got = list(client.stream("flan-t5", {}, wait=20, on_wait=reasons.append))
    assert [event.json() for event in got] == [progress, {"text": "a"}]
    assert [reason.detail for reason in reasons] == ["'flan-t5' is starting."]
    events = [[{"text": "a"}, {"error": error}]]
    with pytest.raises(NotServingProblem):  # it has begun: a repetition would be a second answer
        list(client.stream("flan-t5", {}, wait=20))


def test_without_wait_a_prompt_to_an_endpoint_on_its_way_fails_at_once(server, client):
    server.failures = [(*problem(503, "not_serving", "Loading."), {"Retry-After": "0"})]
    with pytest.raises(NotServingProblem):
        client.invoke("flan-t5", {})
    assert len(server.seen) == 1


def test_a_new_token_is_not_made_twice(server, client):
    server.failures = ["lost"]
    with pytest.raises(UnreachableError):
        client.create_token("ada")
    assert [token["name"] for token in server.tokens.values()] == ["first", "ada"]


def test_threads_share_one_client(server, client):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.top_up("flan-t5", 1), range(80)))
    assert client.endpoint("flan-t5").left.total_seconds() == 3600 + 80 * 60


def test_waiting_ends_when_it_runs_and_shows_every_look(server, client):
    starting = endpoint("flan-t5", status="starting", reason="loading")
    server.failures = [(200, starting), (200, starting)]
    looks = []
    found = client.wait_until_running("flan-t5", 10, on_look=looks.append)
    assert found.status == "running"
    assert [look.status for look in looks] == ["starting", "starting", "running"]
