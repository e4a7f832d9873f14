"""A state folder that is removed or made again under a running gateway."""

import http.client
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway_process import (
    TOKEN,
    Answer,
    GatewayProcess,
    alive,
    eventually,
    ping_config,
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", ping_config()) as made:
        made.start()
        made.until("running")
        yield made


def ask(address: tuple[str, int], method: str, path: str) -> Answer | None:
    """Return the answer to a request; None if nothing answers."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    body = b'{"minutes": 1}' if method == "POST" else None
    try:
        connection.request(method, path, body, {"Authorization": TOKEN})
        response = connection.getresponse()
        return Answer(response.status, {}, response.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@pytest.mark.parametrize("how", ["removed", "moved", "made again"])
def test_no_top_up_is_acknowledged_after_its_folder_is_gone(gateway, tmp_path, how):
    address, process, server = gateway.address, gateway.process, gateway.records()[0]["server"]
    output = tmp_path / "output"
    output.hardlink_to(gateway.state / "gateway.out")
    if how == "removed":
        shutil.rmtree(gateway.state)
    else:
        gateway.state.rename(tmp_path / "elsewhere")
    if how == "made again":
        gateway.state.mkdir()
    gone = time.monotonic()
    answers, health = [], []
    while process.poll() is None and time.monotonic() < gone + 30:
        if topped := ask(address, "POST", "/endpoints/flan-t5/top-ups"):
            answers.append((topped.status, topped.json["code"]))
        if seen := ask(address, "GET", "/health"):
            health.append((seen.status, seen.json["reasons"][0]))
        time.sleep(0.02)  # a token has a limit on its changes
    assert process.wait(1) == 1
    assert set(answers) <= {(503, "state_lost"), (503, "store_busy")}
    assert (503, "state_lost") in answers
    assert set(health) == {(503, "state_lost")}
    said = output.read_text()
    assert "was removed or replaced while the gateway ran" in said
    assert "Traceback" not in said
    eventually(lambda: not alive(server))


def test_a_second_gateway_takes_over_the_folder_that_was_made_again(gateway):
    address, process = gateway.address, gateway.process
    shutil.rmtree(gateway.state)
    with GatewayProcess(gateway.state, ping_config()).start() as second:
        assert process.wait(30) == 1
        second.until("running")
        assert second.address != address
        assert second.top_up(1).status == 200
        assert second.request("GET", "/health").status == 200


def test_a_lock_that_was_removed_ends_the_gateway_and_its_server_is_adopted(gateway):
    server = gateway.records()[0]["server"]
    (gateway.state / "gateway.lock").unlink()
    assert gateway.process.wait(30) == 1
    gateway.start()
    gateway.until("running")
    assert gateway.records()[0]["server"] == server
    assert alive(server)
