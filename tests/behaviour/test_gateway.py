"""The local gateway as its users see it: real processes, real HTTP, real time."""

import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkmeter.core.tokens import digest_of
from tests.support.gateway_process import (
    TOKEN,
    GatewayProcess,
    alive,
    eventually,
    ping_config,
)

SLEEPER = Path(__file__).parents[1] / "support" / "servers" / "sleeper.py"


def sleeper_config(*flags: str, **settings: object) -> str:
    command = [sys.executable, "-I", str(SLEEPER), "{port}", *flags]
    return ping_config(**settings).replace(
        next(line for line in ping_config().splitlines() if line.startswith("command")),
        f"command = {json.dumps(command)}",
    )


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", ping_config()) as made:
        yield made


def seed_time(text: str) -> datetime:
    return datetime.strptime(text, "%d-%m-%Y-%H-%M-%S").replace(tzinfo=UTC)


def parkmeter_up(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "parkmeter", "up", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def server_pid(gateway: GatewayProcess) -> int:
    return gateway.records()[0]["server"]


def test_the_ancestors_three_curl_commands_work_as_they_were_written(tmp_path):
    with GatewayProcess(tmp_path / "state").start() as gateway:
        gateway.until("running")

        def curl(*arguments: str) -> dict:
            command = ["curl", "--silent", "--show-error", "--location", *arguments]
            done = subprocess.run(command, check=True, capture_output=True, timeout=60)
            return json.loads(done.stdout)

        base, token = f"{gateway.url}/prod", f"Authorization: {TOKEN}"
        json_type = "Content-Type: application/json"
        seen = curl(f"{base}/endpoint-expiry", "--header", token)
        assert {"EndpointExpiry ", "EndpointExpiry", "TimeLeft", "EndpointName"} <= set(seen)
        assert seen["Status"] == "running"
        more = curl(
            f"{base}/endpoint-expiry",
            *("--header", token, "--header", json_type),
            *("--data", '{\n    "minutes": 10\n}'),
        )
        gained = seed_time(more["EndpointExpiry "]) - seed_time(seen["EndpointExpiry "])
        assert gained.total_seconds() == 600
        prompt = {
            "text_inputs": "write a story about beautiful weather on a topical island.",
            "max_length": 50,
            "temperature": 0.0,
            "seed": 321,
        }
        answer = curl(
            f"{base}/flan",
            *("--header", token, "--header", json_type),
            *("--data", json.dumps(prompt)),
        )
        (story,) = answer["generated_texts"]
        assert "island" in story


def test_the_first_start_leaves_a_private_client_file_and_no_token_in_the_output(gateway):
    gateway.environment["PARKMETER_BOOTSTRAP_TOKEN"] = ""
    gateway.start()
    file = gateway.state / "client.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    client = json.loads(file.read_text())
    alone = gateway.state / "token"
    assert stat.S_IMODE(alone.stat().st_mode) == 0o600
    assert alone.read_text().strip() == client["token"]
    assert client["url"] == gateway.url
    answer = gateway.request(
        "GET", "/prod/endpoint-expiry", headers={"Authorization": client["token"]}
    )
    assert answer.status == 200
    assert client["token"] not in gateway.output()
    files = gateway.state.glob("parkmeter.sqlite*")
    stored = b"".join(file.read_bytes() for file in files)
    assert digest_of(client["token"]).encode() in stored
    assert client["token"].encode() not in stored


def test_every_route_answers_with_and_without_the_stage(gateway):
    gateway.start()
    for path in ("/health", "/endpoints", "/endpoint-expiry", "/docs", "/openapi.json"):
        assert gateway.request("GET", path).status == 200
        assert gateway.request("GET", f"/prod{path}").status == 200
    assert b"/prod/endpoints" in gateway.request("GET", "/prod/docs").body


def test_200_top_ups_of_8_processes_over_http_are_200_minutes(gateway):
    gateway.start()
    gateway.until("running")
    before = datetime.fromisoformat(gateway.endpoint()["expires_at"])
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(8, mp_context=context) as pool:
        done = [pool.submit(_twenty_five_top_ups, gateway.state) for _ in range(8)]
        statuses = [status for future in done for status in future.result()]
    assert statuses == [200] * 200
    after = datetime.fromisoformat(gateway.endpoint()["expires_at"])
    assert (after - before).total_seconds() == 200 * 60


def _twenty_five_top_ups(state: Path) -> list[int]:
    gateway = GatewayProcess(state)
    return [gateway.top_up(1).status for _ in range(25)]


def test_the_server_is_gone_half_a_second_after_the_close_with_nothing_in_flight(gateway):
    gateway.config = ping_config(initial_provision_time_minutes=0.05)
    gateway.start()
    shown = gateway.until("running")
    pid = server_pid(gateway)
    close = datetime.fromisoformat(shown["expires_at"])
    time.sleep(max(0, (close - datetime.now(UTC)).total_seconds() - 0.2))
    assert alive(pid)
    eventually(lambda: not alive(pid), every=0.005)
    assert (datetime.now(UTC) - close).total_seconds() <= 0.5
    gateway.until("stopped")
    assert gateway.request("POST", "/flan", {"seconds": 0}).status == 402


def test_a_meter_that_was_never_topped_up_answers_402_with_a_call_that_works_as_it_is(gateway):
    gateway.config = ping_config(initial_provision_time_minutes=0)
    gateway.start()
    refused = gateway.request("POST", "/prod/flan", {"seconds": 0})
    assert refused.status == 402
    call = refused.json["top_up"]["curl"]
    assert call.encode() in refused.body, "it must survive being copied out of the JSON text"
    command = f"TOKEN=$(cat {gateway.state}/token); {call} --silent --fail"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=30)
    gateway.until("running")


def test_a_request_in_flight_at_the_close_finishes_and_a_new_one_is_402(gateway):
    gateway.config = sleeper_config(initial_provision_time_minutes=0.05)
    gateway.start()
    close = datetime.fromisoformat(gateway.until("running")["expires_at"])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        left = (close - datetime.now(UTC)).total_seconds()
        long = pool.submit(gateway.request, "POST", "/flan", {"seconds": left + 1.5})
        time.sleep(left + 0.3)
        refused = gateway.request("POST", "/flan", {"seconds": 0})
        assert refused.status == 402
        assert refused.json["code"] == "meter_closed"
        assert "/endpoints/flan-t5/top-ups" in json.dumps(refused.json)
        assert gateway.endpoint()["status"] == "stopping"
        assert long.result().status == 200
    gateway.until("stopped", seconds=3)


def test_a_slow_start_does_not_eat_the_bought_time(gateway):
    gateway.config = sleeper_config("--ready-after", "2.5", initial_provision_time_minutes=0.05)
    gateway.start()
    starting = gateway.until("starting")
    assert 2.9 < starting["seconds_left"] <= 3
    held = gateway.request("POST", "/flan", {"seconds": 0}, {"Prefer": "wait=20"})
    assert held.status == 200
    assert float(held.headers["parkmeter-seconds-left"]) > 1.9
    lines = gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
    credit = next(line for line in lines if line["kind"] == "credit")
    assert 2.4 < credit["minutes"] * 60 < 5


def test_a_crash_loop_ends_with_the_time_and_shows_the_servers_own_words(gateway):
    gateway.config = sleeper_config(
        "--exit-after",
        "0.3",
        initial_provision_time_minutes=0.05,
        startup_credit_minutes=0.05,
    )
    gateway.start()
    failed = gateway.until("failed")
    assert "exit code 7" in failed["reason"]
    assert "out of memory, as always" in failed["reason"]
    gateway.until("stopped", seconds=15)
    starts = _starts(gateway)
    assert 2 <= starts <= 5
    time.sleep(1.5)
    assert _starts(gateway) == starts


def _starts(gateway: GatewayProcess) -> int:
    lines = gateway.request("GET", "/endpoints/flan-t5/journal?limit=500").json["lines"]
    return sum(line["kind"] == "start" for line in lines)


@pytest.mark.timeout(400)  # twenty starts of a gateway, on a machine that may be busy
@pytest.mark.parametrize("rounds", [6, pytest.param(20, marks=pytest.mark.extended)])
def test_a_killed_gateway_loses_no_acknowledged_minute_and_adopts_its_server(gateway, rounds):
    gateway.start()
    gateway.until("running")
    pid = server_pid(gateway)
    expected = datetime.fromisoformat(gateway.endpoint()["expires_at"])
    for round_number in range(rounds):
        acknowledged, sent = _top_ups_until_killed(gateway, round_number)
        gateway.start()
        gateway.until("running")
        assert server_pid(gateway) == pid
        assert alive(pid)
        now_at = datetime.fromisoformat(gateway.endpoint()["expires_at"])
        gained = round((now_at - expected).total_seconds() / 60, 6)
        # A top-up in progress at the kill may have counted without being acknowledged.
        assert acknowledged <= gained <= sent
        expected = now_at
    assert len(gateway.records()) == 1


def _top_ups_until_killed(gateway: GatewayProcess, round_number: int) -> tuple[int, int]:
    """Up to 100 top-ups by 4 clients; the gateway is killed after some of them."""
    acknowledged: list[str] = []
    sent: list[str] = []

    def client(who: int) -> None:
        for number in range(25):
            key = f"{round_number}-{who}-{number}"
            sent.append(key)
            try:
                if gateway.top_up(1, **{"Idempotency-Key": key}).status == 200:
                    acknowledged.append(key)
            except (OSError, http.client.HTTPException):
                return

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, who) for who in range(4)]
        eventually(lambda: len(acknowledged) >= 2 + 4 * round_number, every=0.001)
        gateway.kill()
        for done in clients:
            done.result()
    return len(acknowledged), len(sent)


def test_without_a_restart_the_server_and_its_workers_are_gone_two_seconds_after_the_close(
    gateway, tmp_path
):
    worker_file = tmp_path / "worker"
    gateway.config = ping_config(
        "--worker-pid-file", str(worker_file), initial_provision_time_minutes=0.05
    )
    gateway.start()
    close = datetime.fromisoformat(gateway.until("running")["expires_at"])
    pids = [server_pid(gateway), int(worker_file.read_text())]
    gateway.kill()
    assert all(alive(pid) for pid in pids)
    eventually(lambda: not any(alive(pid) for pid in pids))
    late = (datetime.now(UTC) - close).total_seconds()
    assert 0 <= late <= 2
    gateway.start()
    assert gateway.endpoint()["status"] in ("stopping", "stopped")
    gateway.until("stopped")


def test_sigterm_stops_the_servers_and_leaves_the_time_on_the_meter(gateway):
    gateway.start()
    before = gateway.until("running")["expires_at"]
    pid = server_pid(gateway)
    assert gateway.stop() == 0
    assert not alive(pid)
    off = "Bought time keeps running out while the gateway is off (flan-t5 until "
    assert f"Endpoints stopped. {off}" in gateway.output()
    gateway.start()
    after = gateway.until("running")
    credit = datetime.fromisoformat(after["expires_at"]) - datetime.fromisoformat(before)
    assert 0 <= credit.total_seconds() < 10
    assert server_pid(gateway) != pid


def test_with_keep_the_servers_are_left_to_their_leashes_and_adopted_again(gateway):
    gateway.arguments = ("--keep",)
    gateway.start()
    gateway.until("running")
    pid = server_pid(gateway)
    assert gateway.stop() == 0
    assert alive(pid)
    gateway.start()
    gateway.until("running")
    assert server_pid(gateway) == pid


def test_a_server_that_ignores_sigterm_gets_its_grace_and_counts_as_stopped(gateway):
    gateway.config = ping_config("--ignore-sigterm", stop_grace_seconds=1)
    gateway.start()
    gateway.until("running")
    pid = server_pid(gateway)
    assert gateway.stop() == 0
    assert not alive(pid)
    assert "Endpoints stopped." in gateway.output()


def test_the_model_server_imports_nothing_from_the_folder_the_gateway_was_started_in(
    tmp_path, monkeypatch
):
    (tmp_path / "tokenizers.py").write_text("raise SystemExit('imported from the folder')")
    monkeypatch.chdir(tmp_path)
    with GatewayProcess(tmp_path / "state", environment={"PYTHONSAFEPATH": "1"}).start() as gateway:
        gateway.until("running")


def test_ctrl_c_ends_it_cleanly_even_when_pressed_twice(gateway):
    gateway.start()
    gateway.until("running")
    pid = server_pid(gateway)
    gateway.process.send_signal(signal.SIGINT)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(20) == 0
    assert not alive(pid)
    assert "Traceback" not in gateway.output()


def test_a_second_gateway_names_the_first_one_and_leaves(gateway):
    gateway.start()
    done = parkmeter_up("--port", 0, "--state", gateway.state)
    assert done.returncode == 1
    assert gateway.url in done.stderr


def test_a_taken_port_is_reported_plainly(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = parkmeter_up("--port", port, "--state", tmp_path)
    assert done.returncode == 1
    assert f"port {port}: Address already in use" in done.stderr
    assert "--port" in done.stderr


def test_a_changed_bootstrap_token_replaces_the_old_one(gateway):
    gateway.start()
    gateway.stop()
    gateway.environment["PARKMETER_BOOTSTRAP_TOKEN"] = "another-token-for-tests"
    gateway.start(wait=False)
    new = {"Authorization": "another-token-for-tests"}
    eventually(gateway.healthy)
    assert gateway.request("GET", "/endpoints", headers=new).status == 200
    assert gateway.request("GET", "/endpoints").status == 403


def test_a_bootstrap_token_that_is_too_short_is_refused(tmp_path):
    done = parkmeter_up("--state", tmp_path, PARKMETER_BOOTSTRAP_TOKEN="short")
    assert done.returncode == 1
    assert "16 characters" in done.stderr


def test_what_is_no_http_and_odd_bytes_are_problems_too(gateway):
    gateway.start()

    def raw(sent: bytes) -> tuple[int, bytes]:
        with socket.create_connection(gateway.address) as connection:
            connection.sendall(sent)
            connection.settimeout(10)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        return int(answer.split()[1]), answer

    close = b"Host: localhost\r\nConnection: close\r\n\r\n"
    assert raw(b"\x16\x03\x01nonsense\r\n\r\n")[0] == 400
    assert raw(b"GET /endpoints HTTP/1.1\r\nAuthorization: a\x00b\r\n" + close)[0] == 400
    assert raw(b"GET /endpoints HTTP/1.1\r\nAuthorization: \xff\xfe\r\n" + close)[0] == 403
    assert raw(b"GET /\xff\xfe HTTP/1.1\r\n" + close)[0] in (400, 404)
    assert raw(b"GET /endpoints HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n" + close)[0] == 431
    odd = f"POST /endpoint-expiry HTTP/1.1\r\nAuthorization: {TOKEN}\r\n".encode()
    odd += b"Idempotency-Key: \xe2\x98\x83\r\nContent-Length: 14\r\n"
    assert raw(odd + close + b'{"minutes": 1}')[0] == 400


def test_a_body_of_12_megabytes_is_refused_on_every_route(gateway):
    gateway.start()
    gateway.until("running")
    body = b'{"text_inputs": "' + b"x" * 12_000_000 + b'"}'
    for path in ("/flan", "/prod/flan", "/endpoint-expiry", "/endpoints/flan-t5/top-ups"):
        with socket.create_connection(gateway.address) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            with contextlib.suppress(OSError):  # refused before all of it was sent
                connection.sendall(body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_configuration_that_cannot_be_used_is_refused_in_one_line(gateway):
    gateway.config = ping_config().replace('flan"', 'endpoints"') + "\nprice_per_hour = -1"
    gateway.start(wait=False)
    assert gateway.process.wait(30) == 1
    assert "price_per_hour" in gateway.output()
    assert "Traceback" not in gateway.output()
    gateway.config = ping_config()
    gateway.start()
