"""The client against a real gateway: a process, a store on disk, a server that answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import parkmeter
from parkmeter import Client
from parkmeter.client import (
    MeterClosedProblem,
    NotRunningError,
    ParkmeterProblem,
    RefusedProblem,
    UnreachableError,
)
from parkmeter.web.problems import problem
from parkmeter.web.stream_events import error_event
from tests.support.contract_server import ADMIN, ContractServer
from tests.support.gateway_process import TOKEN, GatewayProcess, ping_config


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = ping_config(price_per_hour=7.09, initial_provision_time_minutes=0)
    with GatewayProcess(tmp_path_factory.mktemp("client") / "state", config).start() as made:
        yield made


@pytest.fixture
def client(gateway) -> Iterator[Client]:
    with Client(state=gateway.state) as made:
        yield made


@pytest.fixture
def contract() -> Iterator[ContractServer]:
    with ContractServer() as made:
        yield made


def test_importing_parkmeter_imports_nothing_heavy():
    code = "import sys, parkmeter; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx2", "pydantic", "parkmeter.client", "rich"} & set(loaded)
    assert parkmeter.Client is Client


def test_it_finds_the_gateway_of_a_state_folder_and_speaks_to_its_stage(gateway, client):
    assert client.url == gateway.url
    assert client.health().status == "ok"
    with Client(f"{gateway.url}/prod/", state=gateway.state) as staged:
        assert staged.endpoint("flan-t5").name == "flan-t5"


def test_an_endpoint_has_typed_times_and_money(client):
    client.top_up("flan-t5", 30)
    found = client.wait_until_running("flan-t5", 20)
    assert found.price_per_hour == Decimal("7.09")
    assert timedelta(minutes=28) < found.left <= timedelta(minutes=30)
    assert found.expires_at > datetime.now(UTC)
    assert found.raw["status"] == "running"
    (listed,) = client.endpoints()
    assert listed.name == "flan-t5"


def test_a_key_of_ones_own_makes_two_calls_one(client):
    first = client.top_up("flan-t5", 5, key="monday")
    assert client.top_up("flan-t5", 5, key="monday") == first
    assert first.added == timedelta(minutes=5)


def test_the_journal_comes_newest_first_and_over_the_edge_of_a_page(client, monkeypatch):
    for _ in range(5):
        client.top_up("flan-t5", 1)
    monkeypatch.setattr("parkmeter.client.client._PAGE", 2)
    numbers = [line.number for line in client.journal("flan-t5")]
    assert numbers == list(range(numbers[0], 0, -1))
    assert [line.number for line in client.journal("flan-t5", 3)] == numbers[:3]
    assert next(client.journal("flan-t5")).added == timedelta(minutes=1)


def test_waiting_for_a_closed_meter_ends_at_once_and_says_why(client):
    client.eject("flan-t5")
    with pytest.raises(NotRunningError, match="holds no time") as raised:
        client.wait_until_running("flan-t5", 60)
    assert raised.value.endpoint.left == timedelta(0)


def test_refusals_carry_the_gateways_code_and_data(gateway, client):
    with pytest.raises(ParkmeterProblem) as raised:
        client.top_up("flan-t5", 10_000)
    assert raised.value.code == "limit_exceeded"
    assert raised.value.data["limit_minutes"] == 1440
    with pytest.raises(ParkmeterProblem) as raised:
        client.endpoint("../tokens")
    assert raised.value.status == 404
    with Client(gateway.url, "wrong") as stranger, pytest.raises(RefusedProblem) as raised:
        stranger.endpoints()
    assert raised.value.code == "token_refused"
    assert TOKEN not in repr(raised.value)


def test_nobody_there_says_which_address_was_tried():
    said = r"127\.0\.0\.1:9.*parkmeter up"
    with (
        Client("http://127.0.0.1:9", "x", patience=0) as client,
        pytest.raises(UnreachableError, match=said) as raised,
    ):
        client.endpoints()
    assert not raised.value.sent


def test_a_proxy_of_the_environment_is_not_asked_for_a_gateway_on_this_machine(
    contract, monkeypatch
):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with Client(contract.url, ADMIN, patience=0) as client:
        assert client.endpoints()


# ── By the contract ─────────────────────────────────────────────────────────────────────────────


def test_a_receipt_is_typed_and_its_parts_add_up(contract):
    with Client(contract.url, ADMIN) as client:
        found = client.receipt("flan-t5", datetime(2026, 11, 1, tzinfo=UTC))
    assert found.on == timedelta(hours=1, minutes=30)
    assert found.cost == sum(part.cost for part in found.parts) == Decimal("10.635")
    assert found.runs[0].variant == "ml.g5.xlarge"
    assert (
        contract.seen[-1][1] == "/endpoints/flan-t5/receipt?from=2026-11-01T00%3A00%3A00%2B00%3A00"
    )


def test_an_unknown_price_stays_unknown(contract):
    unknown = {"price_per_hour": None, "cost": None, "saved": None, "always_on_cost": None}
    with Client(contract.url, ADMIN) as client:
        raw = {**client.receipt("flan-t5").raw, **unknown}
        contract.failures = [(200, raw)]
        found = client.receipt("flan-t5")
    assert (found.price_per_hour, found.cost, found.saved, found.always_on_cost) == (None,) * 4


def test_logs_come_line_by_line_and_follow(contract):
    coming = [["one"], ["two", "three"], []]
    contract.more_log = lambda: coming.pop(0)
    with Client(contract.url, ADMIN) as client:
        assert list(client.logs("flan-t5", 1)) == ["ready [now]"]
        followed = list(client.logs("flan-t5", follow=True))
    assert followed == ["loading", "ready [now]", "one", "two", "three"]


def test_a_token_is_made_listed_and_revoked(contract):
    until = datetime(2027, 1, 1, tzinfo=UTC)
    with Client(contract.url, ADMIN) as client:
        made = client.create_token("ada", endpoints=["flan-t5"], expires_at=until)
        assert made.expires_at == until
        assert made.secret not in repr(made)
        assert [token.name for token in client.tokens()] == ["first", "ada"]
        with Client(contract.url, made.secret) as ada:
            assert ada.endpoints()
        client.revoke_token(made.id)
        with Client(contract.url, made.secret) as ada, pytest.raises(RefusedProblem):
            ada.endpoints()


def test_a_stream_gives_its_events_and_a_whole_answer_gives_one(contract):
    contract.prompts = lambda asked: (
        (200, 'data: {"text": "a"}\n\ndata: {"text": "b"}\n\n') if asked else (200, {"all": 1})
    )
    with Client(contract.url, ADMIN) as client:
        assert [event.json() for event in client.stream("flan-t5", {"x": 1})] == [
            {"text": "a"},
            {"text": "b"},
        ]
        (only,) = client.stream("flan-t5", {})
    assert only.whole
    assert only.json() == {"all": 1}


def test_a_stream_that_the_gateway_ends_early_raises_its_problem(contract):
    error = {"message": "No time.", "code": "meter_closed", "status": 402, "top_up": {"url": "u"}}
    contract.prompts = lambda _asked: (
        200,
        f'data: {{"text": "a"}}\n\ndata: {json.dumps({"error": error})}\n\n',
    )
    with Client(contract.url, ADMIN) as client:
        events = client.stream("flan-t5", {"x": 1})
        assert next(events).json() == {"text": "a"}
        with pytest.raises(MeterClosedProblem, match="No time") as raised:
            next(events)
    assert (raised.value.code, raised.value.data) == ("meter_closed", {"top_up": {"url": "u"}})


def test_so_does_a_stream_of_an_endpoint_that_speaks_anthropics_protocol(contract):
    closed = problem(402, "meter_closed", "The meter is closed", "No time.", top_up={"url": "u"})
    last = error_event(closed, b"/v1/messages").decode()
    contract.prompts = lambda _asked: (200, f'data: {{"text": "a"}}\n\n{last}')
    with Client(contract.url, ADMIN) as client:
        events = client.stream("flan-t5", {"x": 1})
        assert next(events).json() == {"text": "a"}
        with pytest.raises(MeterClosedProblem, match="No time") as raised:
            next(events)
    assert raised.value.code == "meter_closed"
    assert set(raised.value.data) == {"top_up", "request_id"}


def test_an_error_of_the_models_own_in_a_stream_is_an_event(contract):
    theirs = {"error": {"message": "CUDA", "type": "InternalServerError", "code": 500}}
    contract.prompts = lambda _asked: (200, f"data: {json.dumps(theirs)}\n\n")
    with Client(contract.url, ADMIN) as client:
        (event,) = client.stream("flan-t5", {"x": 1})
    assert event.json() == theirs


def test_what_a_model_says_of_its_own_failure_survives(contract):
    contract.prompts = lambda _asked: (422, {"detail": [{"loc": ["body"]}], "type": "x"})
    with Client(contract.url, ADMIN) as client, pytest.raises(ParkmeterProblem) as raised:
        client.invoke("flan-t5", b"{}")
    assert raised.value.status == 422
    assert raised.value.data == {"detail": [{"loc": ["body"]}], "type": "x"}


def test_dollars_go_as_they_were_said_and_come_back_as_money(contract):
    with Client(contract.url, ADMIN) as client:
        change = client.top_up("flan-t5", dollars=Decimal("5.00"))
        assert contract.seen[-1][3] == {"dollars": "5.00"}
        assert change.dollars == 5
        assert client.receipt_csv("flan-t5") == "row,endpoint\r\ntotal,flan-t5\r\n"
        for wrong in ({}, {"minutes": 1, "dollars": 1}):
            with pytest.raises(ValueError, match="minutes or dollars"):
                client.top_up("flan-t5", **wrong)
