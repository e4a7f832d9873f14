"""Endpoints that run by themselves: real gateways, and for waking the embedded model."""

import concurrent.futures
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.gateway_process import Answer, GatewayProcess, eventually, ping_config

SLEEPING = """
[endpoints.flan-t5]
api_resource = "flan"
model = "demo"
initial_provision_time_minutes = 0
wake_minutes = 3
"""
PROMPT = {"text_inputs": "Once upon a time", "max_length": 12, "temperature": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def gateway(folder: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(folder, SLEEPING).start() as made:
        yield made


def prompt(gateway: GatewayProcess, **headers: str) -> Answer:
    return gateway.request("POST", "/flan", PROMPT, headers)


def top_ups(gateway: GatewayProcess) -> list[dict]:
    lines = gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
    return [line for line in lines if line["kind"] == "top-up"]


def test_prompts_that_come_together_wake_the_model_once_and_are_all_answered(gateway):
    with concurrent.futures.ThreadPoolExecutor(24) as people:
        answers = list(people.map(lambda _: prompt(gateway, Prefer="wait=60"), range(24)))
    assert {answer.status for answer in answers} == {200}
    assert all(answer.json["generated_texts"][0] for answer in answers)
    (bought,) = top_ups(gateway)
    assert (bought["by"], bought["minutes"]) == ("owner", 3)
    assert bought["why"] == "woken by a prompt"


def test_a_prompt_that_does_not_wait_gets_a_retry_time(gateway):
    refused = prompt(gateway, Prefer="wait=0")
    assert (refused.status, refused.json["code"]) == (503, "not_serving")
    assert int(refused.headers["retry-after"]) > 0
    gateway.until("running", seconds=60)
    assert prompt(gateway).status == 200
    assert len(top_ups(gateway)) == 1


def test_a_token_without_top_up_wakes_nothing(gateway):
    body = {"name": "guest", "scopes": ["invoke"]}
    guest = gateway.request("POST", "/tokens", body).json["token"]
    refused = prompt(gateway, Authorization=guest, Prefer="wait=60")
    assert (refused.status, refused.json["code"]) == (402, "meter_closed")
    assert gateway.endpoint()["status"] == "stopped"


def test_a_used_up_budget_is_refused_without_waiting(gateway):
    body = {"name": "ada", "minutes_per_day": 2}
    ada = gateway.request("POST", "/tokens", body).json["token"]
    refused = prompt(gateway, Authorization=ada, Prefer="wait=60")
    assert (refused.status, refused.json["code"]) == (429, "over_budget")
    assert prompt(gateway, Prefer="wait=60").status == 200


def reload(gateway: GatewayProcess, config: str) -> None:
    (gateway.state / "parkmeter.toml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-m", "parkmeter", "reload", "--state", str(gateway.state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def all_day() -> str:
    """Hours whose window is on now and for hours to come, and that leave a gap."""
    today = datetime.now(UTC)
    days = f"{today - timedelta(days=1):%a},{today:%a},{today + timedelta(days=1):%a}"
    return f"{days} 00:00-24:00 UTC"


def test_hours_open_it_an_eject_holds_and_kill_9_forgets_neither(folder):
    settings = {"initial_provision_time_minutes": 0, "hours": all_day()}
    with GatewayProcess(folder, ping_config(**settings)).start() as gateway:
        gateway.until("running")
        seen = gateway.endpoint()
        assert seen["hours"] == settings["hours"]
        assert seen["expires_at"] == seen["window_until"]
        assert not seen["held"]
        gateway.kill()
        gateway.start()
        gateway.until("running")
        assert len(top_ups(gateway)) == 1

        assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
        gateway.until("stopped")
        gateway.kill()
        gateway.start()
        held = gateway.until("stopped")
        assert held["held"]
        assert held["reason"].startswith("ejected; starts ")
        assert len(top_ups(gateway)) == 1


def test_hours_that_are_taken_away_by_a_reload_end_at_once_and_leave_what_people_bought(folder):
    settings = {"initial_provision_time_minutes": 0}
    with GatewayProcess(folder, ping_config(**settings, hours=all_day())).start() as gateway:
        gateway.until("running")
        assert gateway.endpoint()["seconds_left"] > 3600
        gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
        reload(gateway, ping_config(**settings))
        left = eventually(lambda: gateway.endpoint()["seconds_left"] <= 300 and gateway.endpoint())
        assert (left["status"], left["seconds_left"] > 280) == ("running", True)

        reload(gateway, ping_config(**settings, hours=all_day()))
        seen = gateway.endpoint()
        assert eventually(lambda: gateway.endpoint()["expires_at"] == seen["window_until"])


def test_hours_without_a_top_up_stop_with_the_reload_that_takes_them_away(folder):
    settings = {"initial_provision_time_minutes": 0}
    with GatewayProcess(folder, ping_config(**settings, hours=all_day())).start() as gateway:
        gateway.until("running")
        reload(gateway, ping_config(**settings))
        stopped = gateway.until("stopped")
        assert stopped["reason"] == "its hours changed: top up to start it"


def test_an_idle_endpoint_is_ejected_and_wakes_up_again(folder):
    config = ping_config(idle_minutes=0.02, wake_minutes=5)
    with GatewayProcess(folder, config).start() as gateway:

        def ejected() -> dict | None:
            lines = gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
            return next((line for line in lines if line["kind"] == "eject"), None)

        line = eventually(ejected)
        assert line["by"] == "parkmeter"
        assert line["minutes"] < -59
        assert line["why"] == "no prompt for 1.2 s"
        stopped = gateway.until("stopped")
        assert stopped["reason"] == "no prompt for 1.2 s; a prompt starts it"
        gateway.request("POST", "/flan", json.dumps(PROMPT), {"Prefer": "wait=30"})
        assert [one["minutes"] for one in top_ups(gateway)] == [5, 60]
