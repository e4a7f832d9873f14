"""`parkmeter reload` on a running gateway: its effects, their time, and what stays."""

import concurrent.futures
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway_process import PING_SERVER, TOKEN, GatewayProcess, alive, eventually

SLEEPER = Path(__file__).parents[1] / "support" / "servers" / "sleeper.py"


def section(name: str, server: Path = PING_SERVER, **settings: object) -> str:
    command = [sys.executable, "-I", "-S", str(server), "{port}"]
    lines = [f"[endpoints.{name}]", f"command = {json.dumps(command)}"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", section("a") + section("b")) as made:
        made.start()
        yield made
        made.config = section("a")


def write(gateway: GatewayProcess, *sections: str) -> None:
    (gateway.state / "parkmeter.toml").write_text("".join(sections))


def reload(gateway: GatewayProcess, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parkmeter", "reload", "--state", str(gateway.state), *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pid_of(gateway: GatewayProcess, name: str) -> int:
    record = json.loads((gateway.state / f"endpoints/run/{name}.json").read_text())
    return record["server"]


def test_only_endpoints_whose_section_changed_are_touched(gateway):
    gateway.until("running", "a")
    gateway.until("running", "b")
    untouched, ended = pid_of(gateway, "a"), pid_of(gateway, "b")
    expiry = gateway.endpoint("a")["expires_at"]
    write(
        gateway,
        section("a", price_per_hour=2.5, max_top_up_minutes=5, api_resource="other"),
        section("c", initial_provision_time_minutes=7),
    )
    done = reload(gateway)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "c: added",
        "b: removed; it is stopped, its meter is kept",
        "a: api_resource, price_per_hour, max_top_up_minutes: in effect now",
    ]
    seen = gateway.endpoint("a")
    assert (float(seen["price_per_hour"]), seen["expires_at"]) == (2.5, expiry)
    assert pid_of(gateway, "a") == untouched
    assert alive(untouched)
    assert gateway.request("POST", "/other", {}).status == 200
    assert gateway.request("POST", "/a", {}).status == 404
    assert gateway.request("POST", "/endpoints/a/top-ups", {"minutes": 6}).status == 422
    assert 6 * 60 < gateway.until("running", "c")["seconds_left"] <= 7 * 60
    assert gateway.request("GET", "/endpoints/b").status == 404
    eventually(lambda: not alive(ended))


def test_what_a_run_keeps_counts_at_its_next_start_and_the_answer_says_so(gateway):
    gateway.until("running", "a")
    before = pid_of(gateway, "a")
    changed = section("a", health="/other").replace("-S", "-E")
    write(gateway, changed, 'environment = { A = "1" }\n', section("b"))
    said = reload(gateway).stdout
    assert said.startswith("a: command, environment, health: in effect at the next start")
    assert "eject a" in said
    time.sleep(1.2)
    assert pid_of(gateway, "a") == before
    assert gateway.request("POST", "/endpoints/a/eject").status == 200
    gateway.until("stopped", "a")
    assert gateway.request("POST", "/endpoints/a/top-ups", {"minutes": 5}).status == 201
    gateway.until("running", "a")
    record = json.loads((gateway.state / "endpoints/run/a.json").read_text())
    assert record["health"] == "/other"


def test_an_endpoint_that_comes_back_finds_its_meter_as_it_was(gateway):
    expiry = gateway.until("running", "b")["expires_at"]
    ended = pid_of(gateway, "b")
    write(gateway, section("a"))
    assert reload(gateway).returncode == 0
    eventually(lambda: not alive(ended))
    write(gateway, section("a"), section("b", initial_provision_time_minutes=1))
    assert reload(gateway).returncode == 0
    back = gateway.until("running", "b")
    assert back["expires_at"][:16] >= expiry[:16]
    assert back["seconds_left"] > 59 * 60


def test_requests_in_flight_and_streams_survive_even_the_removal_of_their_endpoint(gateway):
    write(gateway, section("a", SLEEPER), section("b", SLEEPER))
    gateway.config = section("a", SLEEPER) + section("b", SLEEPER)
    gateway.stop()
    gateway.start()
    gateway.until("running", "a")
    gateway.until("running", "b")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        streams = [
            pool.submit(gateway.request, "POST", f"/{name}", {"seconds": 3, "pieces": 6})
            for name in ("a", "b")
        ]
        plain = pool.submit(gateway.request, "POST", "/b", {"seconds": 2})
        eventually((gateway.state / "endpoints/run/b.ready").exists)
        time.sleep(0.7)
        write(gateway, section("a", SLEEPER, drain_seconds=5))
        assert reload(gateway).returncode == 0
        assert gateway.request("POST", "/b", {"seconds": 0}).status == 404
        answers = [stream.result() for stream in streams]
        assert [answer.body for answer in answers] == [b"0\n1\n2\n3\n4\n5\n"] * 2
        assert plain.result().json["slept"] == 2
    ended = pid_of(gateway, "b")
    eventually(lambda: not alive(ended), seconds=10)
    assert gateway.endpoint("a")["status"] == "running"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (section("a") + "drain_seconds = -1\n", "parkmeter.toml:3: endpoints.a.drain_seconds"),
        ("[endpoints.a\n", "parkmeter.toml:1: cannot be read as TOML"),
        ("[gateway]\nhost = '::1'\n" + section("a"), "gateway.host: 127.0.0.1 → ::1"),
    ],
)
def test_a_file_that_cannot_be_applied_changes_nothing_and_is_reported(gateway, text, said):
    gateway.until("running", "b")
    write(gateway, text)
    done = reload(gateway)
    assert done.returncode == 1
    assert said in done.stderr
    assert "othing was changed" in done.stderr
    answer = json.loads(reload(gateway, "--json").stdout)
    assert answer["applied"] is False
    assert answer["code"] in ("config_invalid", "reload_refused")
    assert gateway.endpoint("b")["status"] == "running"


def test_a_bare_sighup_does_the_same(gateway):
    write(gateway, section("a", price_per_hour=9))
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: float(gateway.endpoint("a")["price_per_hour"] or 0) == 9)
    eventually(lambda: "reload: " in gateway.output())  # written once all is in force


def test_reloads_asked_for_at_once_are_all_answered(gateway):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: reload(gateway), range(4)))
    assert [(one.returncode, one.stdout) for one in done] == [(0, "Nothing changed.\n")] * 4


def test_without_a_gateway_that_is_said(tmp_path):
    done = reload(GatewayProcess(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert "No gateway is running in" in done.stderr


def test_a_gateway_whose_terminal_is_closed_ends_in_order(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "parkmeter.toml").write_text(section("a"))
    command = ["-m", "parkmeter", "up", "--port", "0", "--state", str(state)]
    process, terminal = pty.fork()
    if process == 0:
        os.environ["PARKMETER_BOOTSTRAP_TOKEN"] = TOKEN
        os.environ["PARKMETER_CONFIG"] = str(state / "parkmeter.toml")
        os.execv(sys.executable, [sys.executable, *command])
    seen = b""
    while b"all routes" not in seen:
        seen += os.read(terminal, 4096)
    server = pid_of(GatewayProcess(state), "a")
    assert alive(server)
    os.close(terminal)
    eventually(lambda: os.waitpid(process, os.WNOHANG)[0], seconds=30)
    assert not alive(server)
