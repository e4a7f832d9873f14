"""`parkmeter doctor` on states that are broken in different ways, with real files and processes."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.config.settings import Settings
from parkmeter.core.finding import Finding, Level
from parkmeter.doctor.examine import examine
from parkmeter.state_folder import StateFolder
from tests.support.contract_server import ContractServer, problem
from tests.support.gateway_process import GatewayProcess, alive, eventually, ping_config


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    made = GatewayProcess(tmp_path / "state", ping_config())
    made.state.mkdir(mode=0o700)
    yield made
    for record in made.records() if (made.state / "endpoints/run").exists() else []:
        if record["state"] == "running" and alive(record["leash"]):
            os.kill(record["leash"], signal.SIGTERM)
    if made.process is not None and made.process.poll() is None:
        made.process.send_signal(signal.SIGCONT)
        made.stop()


def settings_of(gateway: GatewayProcess, **endpoint: object) -> Settings:
    endpoint = endpoint or {"command": [sys.executable, "{port}"]}
    there = {"port": 0, "state": str(gateway.state)}
    return Settings.model_validate({"gateway": there, "endpoints": {"flan-t5": endpoint}})


def found(gateway: GatewayProcess, **endpoint: object) -> list[Finding]:
    return examine(gateway.state, settings_of(gateway, **endpoint))


def wrong(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings if finding.level is Level.WRONG}


def noted(findings: list[Finding]) -> str:
    return "\n".join(finding.seen for finding in findings if finding.level is Level.NOTE)


def doctor(gateway: GatewayProcess, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parkmeter", "doctor", "--state", str(gateway.state), *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PARKMETER_PORT": "0"},
    )


def test_a_healthy_gateway_has_nothing_wrong(gateway):
    gateway.start()
    gateway.until("running")
    config = str(gateway.state / "parkmeter.toml")
    done = doctor(gateway, "--config", config)
    assert done.returncode == 0, done.stdout
    assert "responding, scheduler alive" in done.stdout
    report = json.loads(doctor(gateway, "--config", config, "--json").stdout)
    assert report["healthy"] is True
    assert {finding["level"] for finding in report["findings"]} == {"good"}


def test_without_config_the_doctor_reads_the_file_of_the_running_gateway(gateway):
    gateway.folder = gateway.state
    gateway.arguments = ("--config", "other.toml")
    text = gateway.config.replace("flan-t5", "phi-3")
    gateway.config = None
    (gateway.state / "other.toml").write_text(text)
    gateway.start()
    gateway.until("running", "phi-3")
    done = doctor(gateway)
    assert done.returncode == 0, done.stdout
    assert "endpoints: phi-3" in done.stdout
    assert "is not in this configuration" not in done.stdout
    (gateway.state / "other.toml").write_text("[endpoints.phi-3]\ncomand = []")
    assert "other.toml:2: endpoints.phi-3.comand" in doctor(gateway).stdout


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(gateway):
    gateway.state.rmdir()
    findings = found(gateway, model="demo")
    assert wrong(findings) == {}
    assert "the shipped model loads" in [finding.seen for finding in findings]
    assert not gateway.state.exists()


def test_a_folder_and_a_token_that_others_may_read(gateway):
    gateway.start()
    gateway.stop()
    gateway.state.chmod(0o755)
    (gateway.state / "token").chmod(0o644)
    findings = [f for f in found(gateway) if f.what == "permissions"]
    assert [finding.do for finding in findings] == [
        f"chmod 700 {gateway.state}",
        f"chmod 600 {gateway.state / 'token'}; then create a new token",
    ]
    assert doctor(gateway).returncode == 1


def test_a_damaged_store(gateway):
    gateway.start()
    for number in range(40):
        gateway.top_up(1 + number / 10)
    gateway.stop()
    file = gateway.state / "parkmeter.sqlite"
    with file.open("r+b") as store:
        size = file.stat().st_size
        store.seek(4096)
        store.write(b"\xff" * (size - 8192))
    seen = wrong(found(gateway))
    assert "damaged" in seen["store"].seen or "malformed" in seen["store"].seen
    assert ".recover" in seen["store"].do
    file.write_bytes(b"this is no store" * 100)
    assert "not a database" in wrong(found(gateway))["store"].seen


def test_a_row_that_cannot_be_read_is_damage_and_a_deadline_no_reason_to_fail(gateway):
    gateway.start()
    gateway.until("running")
    gateway.kill()
    (gateway.state / "endpoints/run/flan-t5.deadline").write_text('{"version": 1}')
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as store:
        store.execute("UPDATE journal SET body = ?", ("[" * 100_000,))
    store.close()
    findings = found(gateway)
    assert "a row in it cannot be read" in wrong(findings)["store"].seen
    assert "on its leash" in noted(findings)


def test_a_store_of_a_newer_parkmeter(gateway):
    gateway.start()
    gateway.stop()
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    seen = wrong(found(gateway))["store"]
    assert "schema 99" in seen.seen
    assert "Upgrade" in seen.do


def test_a_gateway_that_hangs(gateway):
    gateway.start()
    gateway.process.send_signal(signal.SIGSTOP)
    seen = wrong(found(gateway))["gateway"]
    assert f"process {gateway.process.pid}" in seen.seen
    assert "does not respond" in seen.seen
    assert f"kill {gateway.process.pid}" in seen.do


@pytest.mark.parametrize(
    ("code", "reasons", "step"),
    [
        ("unhealthy", ["disk_full"], "Mend that first"),
        ("clock_stopped", ["clock_stopped", "disk_full"], "kill -9"),
    ],
)
def test_a_gateway_that_is_not_healthy_is_quoted(gateway, code, reasons, step):
    folder = StateFolder(gateway.state)
    folder.lock()
    with ContractServer() as server:
        folder.write_holder(server.url)
        server.failures = [problem(503, code, "The disk is full.", reasons=reasons)]
        seen = wrong(found(gateway))["gateway"]
    folder.release()
    assert "The disk is full." in seen.seen
    assert step in seen.do


def test_a_server_whose_gateway_was_killed(gateway):
    gateway.start()
    gateway.until("running")
    gateway.kill()
    findings = found(gateway)
    (seen,) = [finding for finding in findings if finding.what == "servers"]
    assert "runs without a gateway, on its leash until" in seen.seen
    assert f"kill {gateway.records()[0]['leash']}" in seen.do
    assert wrong(findings) == {}, "its leash guards it"


def test_a_server_whose_leash_was_killed_too(gateway):
    gateway.start()
    gateway.until("running")
    gateway.kill()
    leash = gateway.records()[0]["leash"]
    os.kill(leash, signal.SIGKILL)
    eventually(lambda: not alive(leash))
    seen = wrong(found(gateway))["servers"]
    assert "has lost its leash" in seen.seen
    assert "parkmeter up" in seen.do


def test_a_port_in_use_by_another_program(gateway):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = settings_of(gateway)
        taken = settings.gateway.model_copy(update={"port": port})
        findings = examine(gateway.state, settings.model_copy(update={"gateway": taken}))
    assert f"port {port} cannot be used" in wrong(findings)["port"].seen


def test_a_meter_past_its_close_and_not_settled(gateway):
    gateway.start()
    gateway.until("running")
    (record,) = gateway.records()
    gateway.kill()  # first, so that it does not settle what follows
    os.kill(record["leash"], signal.SIGTERM)
    eventually(lambda: not alive(record["leash"]) and not alive(record["server"]))
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as store:
        ((body,),) = store.execute("SELECT body FROM meters")
        document = json.loads(body)
        document["expires_at"] = "2020-01-01T00:00:00+00:00"
        store.execute("UPDATE meters SET body = ?", (json.dumps(document),))
    store.close()
    findings = found(gateway)
    assert "flan-t5 closed at 2020-01-01 00:00:00 UTC; its server is gone" in noted(findings)
    assert wrong(findings) == {}


def test_a_clock_that_was_set_back_and_one_that_jumped(gateway):
    gateway.start()
    gateway.stop()
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as store:
        ((body, number),) = store.execute(
            "SELECT body, number FROM journal ORDER BY number LIMIT 1"
        )
        line = json.loads(body)
        ahead = time.time() + timedelta(days=1).total_seconds()
        for offset, moment in enumerate((ahead, time.time() - 60)):
            at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))
            text = json.dumps(line | {"at": at, "kind": "clock", "why": "it jumped by +60.0 s"})
            store.execute(
                "INSERT INTO journal (endpoint, number, body) VALUES ('flan-t5', ?, ?)",
                (number + 100 + offset, text),
            )
    store.close()
    findings = found(gateway)
    assert "the machine's clock was set back" in wrong(findings)["clock"].seen
    assert "2 jumps in the last 7 days" in noted(findings)


@pytest.mark.parametrize(
    ("endpoint", "what", "expected"),
    [
        ({"model": "/nowhere/model"}, "model of flan-t5", "there is no folder"),
        ({"model": "a/b/c/d"}, "model of flan-t5", "neither a folder nor a hub id"),
        ({"command": ["no-such-program", "{port}"]}, "command of flan-t5", "is not found"),
    ],
)
def test_something_to_run_that_is_not_there(gateway, endpoint, what, expected):
    assert expected in wrong(found(gateway, **endpoint))[what].seen


def test_a_hub_id_that_is_not_downloaded_yet_is_only_noted(gateway):
    findings = found(gateway, model="someone/no-such-model-here")
    assert "is not in the hub's cache" in noted(findings)
    assert wrong(findings) == {}


def test_a_wrong_configuration_is_a_finding_among_others(gateway, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text('[endpoints.a]\nmodel = "demo"\ndrain_seconds = -1\nprice = 1\n')
    done = doctor(gateway, "--config", str(file), "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)["findings"]
    mistakes = [finding["seen"] for finding in findings if finding["what"] == "configuration"]
    assert [line.partition(": ")[0] for line in mistakes] == [f"{file}:3", f"{file}:4"]
    assert "disk" in [finding["what"] for finding in findings]


def test_looking_changes_nothing(gateway):
    gateway.start()
    gateway.stop()

    def files() -> dict[str, bytes]:
        return {
            str(path.relative_to(gateway.state)): path.read_bytes()
            for path in gateway.state.rglob("*")
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    before = files()
    found(gateway)
    assert files() == before
    gateway.start()
    assert gateway.request("GET", "/endpoints").status == 200
