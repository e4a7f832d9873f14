"""A GPU box: three endpoints on two devices, four colleagues with a token each."""

import json
import sys
from collections.abc import Iterator

import pytest

from parkmeter import Client
from parkmeter.client import ParkmeterProblem
from tests.support.gateway_process import PING_SERVER, GatewayProcess

COMMAND = json.dumps([sys.executable, "-I", "-S", str(PING_SERVER), "{port}"])
CONFIG = f"""
[endpoints.qwen]
command = {COMMAND}
device = "gpu0"
initial_provision_time_minutes = 0
startup_credit_minutes = 0
drain_seconds = 0
price_per_hour = 2

[endpoints.llama]
command = {COMMAND}
device = "gpu0"
initial_provision_time_minutes = 0
drain_seconds = 0

[endpoints.whisper]
command = {COMMAND}
device = "gpu1"
initial_provision_time_minutes = 0
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("box") / "state", CONFIG).start() as made:
        yield made


@pytest.fixture(scope="module")
def colleagues(box: GatewayProcess) -> Iterator[dict[str, Client]]:
    """Ada may all but administer, Bob prompts only, Cy is for whisper, Dee tops up 20 min a day."""
    with Client(state=box.state) as admin:
        tokens = {
            "ada": admin.create_token("ada"),
            "bob": admin.create_token("bob", scopes=["invoke"]),
            "cy": admin.create_token("cy", endpoints=["whisper"]),
            "dee": admin.create_token("dee", minutes_per_day=20),
        }
    clients = {name: Client(box.url, made.secret) for name, made in tokens.items()}
    yield clients
    for client in clients.values():
        client.close()


def refused(call, *arguments, **more) -> str:
    with pytest.raises(ParkmeterProblem) as problem:
        call(*arguments, **more)
    return problem.value.code


def test_a_gpu_is_held_by_one_open_meter_and_the_other_is_free(box, colleagues) -> None:
    ada = colleagues["ada"]
    ada.top_up("qwen", 10)
    assert refused(ada.top_up, "llama", 10) == "device_busy"
    ada.top_up("whisper", 10)
    box.until("running", "qwen")
    box.until("running", "whisper")
    assert box.endpoint("llama")["status"] == "stopped"


def test_each_token_does_what_it_is_for_and_no_more(box, colleagues) -> None:
    bob, cy, dee = (colleagues[name] for name in ("bob", "cy", "dee"))
    assert refused(bob.top_up, "qwen", 10) == "scope_missing"
    assert refused(cy.top_up, "qwen", 10) == "scope_missing"
    assert [endpoint.name for endpoint in cy.endpoints()] == ["whisper"]
    cy.top_up("whisper", 5)
    dee.top_up("qwen", 15)
    assert refused(dee.top_up, "qwen", 15) == "over_budget"
    assert refused(colleagues["ada"].eject, "qwen") == "scope_missing"


def test_after_an_eject_the_gpu_changes_hands(box, colleagues) -> None:
    with Client(state=box.state) as admin:
        admin.eject("qwen")
        colleagues["ada"].top_up("llama", 10)
        box.until("running", "llama")
        assert box.endpoint("qwen")["status"] == "stopped"
        assert refused(colleagues["ada"].top_up, "qwen", 5) == "device_busy"


def test_the_receipt_says_whose_time_it_was(box, colleagues) -> None:
    with Client(state=box.state) as admin:
        receipt = admin.receipt("qwen")
    assert {part.who for part in receipt.parts} >= {"ada"}
    assert receipt.cost is not None
    assert sum(part.cost for part in receipt.parts) == receipt.cost


def test_a_revoked_token_opens_nothing_any_more(box, colleagues) -> None:
    with Client(state=box.state) as admin:
        (bob,) = [token for token in admin.tokens() if token.name == "bob"]
        admin.revoke_token(bob.id)
    assert refused(colleagues["bob"].endpoints) == "token_refused"
