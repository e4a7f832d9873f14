"""Two endpoints on one device, with real processes that would not fit on it together."""

import json
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.gateway_process import PING_SERVER, Answer, GatewayProcess, eventually


def config(device_file: Path) -> str:
    """Two servers that crash where the other one is; the first takes its time to end."""
    sections = []
    for name, flags in (("flan-t5", ["--ignore-sigterm"]), ("falcon", [])):
        command = [sys.executable, "-I", "-S", str(PING_SERVER), "{port}", *flags]
        command += ["--device-file", str(device_file)]
        sections.append(
            f"[endpoints.{name}]\n"
            f"command = {json.dumps(command)}\n"
            'device = "gpu0"\n'
            "price_per_hour = 36\n"
            "stop_grace_seconds = 1.5\n"
        )
    return "\n".join(sections)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", config(tmp_path / "gpu0")).start() as made:
        yield made


def top_up(gateway: GatewayProcess, name: str, minutes: float = 10) -> Answer:
    return gateway.request("POST", f"/endpoints/{name}/top-ups", {"minutes": minutes})


def kinds(gateway: GatewayProcess, name: str) -> list[str]:
    lines = gateway.request("GET", f"/endpoints/{name}/journal").json["lines"]
    return [line["kind"] for line in lines][::-1]


def test_a_gpu_goes_from_one_endpoint_to_the_other_and_is_never_shared(gateway: GatewayProcess):
    gateway.until("running")
    assert gateway.endpoint("falcon")["status"] == "stopped"
    assert kinds(gateway, "falcon") == ["warning"], "only one is provisioned at first start"
    refused = top_up(gateway, "falcon")
    assert (refused.status, refused.json["code"]) == (409, "device_busy")
    assert refused.json["endpoint"] == "flan-t5"

    assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
    assert top_up(gateway, "falcon").status == 201
    eventually(
        lambda: gateway.endpoint("falcon")["reason"] == "waiting for flan-t5 to stop and free gpu0"
    )
    assert gateway.endpoint("flan-t5")["status"] == "stopping"
    gateway.until("running", "falcon")
    assert gateway.endpoint("flan-t5")["status"] == "stopped"
    assert kinds(gateway, "falcon") == ["warning", "top-up", "start", "credit", "ready"]

    receipt = gateway.request("GET", "/endpoints/flan-t5/receipt").json
    assert [part["who"] for part in receipt["parts"]] == ["parkmeter"]
    assert Decimal(receipt["cost"]) >= Decimal("0.0150"), "1.5 s to stop, at a cent a second"
    assert sum(Decimal(run["cost"]) for run in receipt["runs"]) == Decimal(receipt["cost"])


def test_of_two_top_ups_at_once_exactly_one_gets_the_gpu(gateway: GatewayProcess):
    gateway.until("running")
    names = ("flan-t5", "falcon")
    for _ in range(5):
        for name in names:
            gateway.request("POST", f"/endpoints/{name}/eject")
        at_once = threading.Barrier(2)
        statuses: dict[str, int] = {}

        def buy(name: str, at_once=at_once, statuses=statuses) -> None:
            at_once.wait()
            statuses[name] = top_up(gateway, name).status

        threads = [threading.Thread(target=buy, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses.values()) == [201, 409]
    winner = next(name for name in names if statuses[name] == 201)
    gateway.until("running", winner)
    assert "failure" not in kinds(gateway, winner)


def test_a_gateway_killed_in_the_change_of_hands_gives_the_gpu_to_one(gateway: GatewayProcess):
    gateway.until("running")
    gateway.request("POST", "/endpoints/flan-t5/eject")
    assert top_up(gateway, "falcon").status == 201
    gateway.kill()
    gateway.start()
    gateway.until("running", "falcon")
    assert gateway.endpoint("flan-t5")["status"] == "stopped"
    assert "failure" not in kinds(gateway, "falcon")
