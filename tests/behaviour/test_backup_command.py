"""`parkmeter backup` and `restore`, `links rotate` and the audit, on a real gateway."""

import concurrent.futures
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.stores.test_sqlite_damage import damage
from tests.support.gateway_process import GatewayProcess, eventually, ping_config


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", ping_config(max_minutes_ahead=500_000)) as made:
        yield made.start()


def run(gateway: GatewayProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parkmeter", *words, "--state", str(gateway.state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bought(gateway: GatewayProcess) -> int:
    """Return the number of top-ups of a minute in the journal."""
    lines = gateway.request("GET", "/endpoints/flan-t5/journal?limit=500").json["lines"]
    return sum(line["kind"] == "top-up" and line["minutes"] == 1 for line in lines)


def test_a_backup_under_top_ups_has_every_one_that_was_acknowledged_before(gateway, tmp_path):
    acknowledged, ended = [], threading.Event()

    def work() -> None:
        while not ended.is_set() and len(acknowledged) < 400:
            assert gateway.top_up(1).status == 200
            acknowledged.append(1)

    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        works = [workers.submit(work) for _ in range(4)]
        try:
            eventually(lambda: len(acknowledged) > 50)
            before = len(acknowledged)
            done = run(gateway, "backup", str(tmp_path / "copy.sqlite"))
        finally:
            ended.set()
        for one in works:
            one.result()
    assert done.returncode == 0, done.stderr
    refused = run(gateway, "restore", str(tmp_path / "copy.sqlite"))
    assert (refused.returncode, "Another gateway is running" in refused.stderr) == (1, True)
    assert gateway.stop() == 0
    restored = run(gateway, "restore", str(tmp_path / "copy.sqlite"))
    assert restored.returncode == 0, restored.stderr
    assert list(gateway.state.glob("parkmeter.sqlite.before-*"))
    gateway.start()
    assert before <= bought(gateway) <= len(acknowledged)
    assert gateway.top_up(1).status == 200
    gateway.until("running")
    actions = [line["action"] for line in gateway.request("GET", "/audit").json["lines"]]
    assert "store.restored" in actions


def test_a_damaged_store_is_reported_in_plain_words_and_restored_from_a_backup(gateway):
    for _ in range(40):
        assert gateway.top_up(1).status == 200
    made = json.loads(run(gateway, "backup", "--json").stdout)
    assert Path(made["file"]).parent == gateway.state / "backups"
    gateway.stop()
    damage(gateway.state / "parkmeter.sqlite")
    gateway.start(wait=False)
    assert gateway.process.wait(20) == 1
    said = gateway.output()
    assert "Traceback" not in said
    advice = said[said.index("parkmeter restore") :].partition(" --state")[0]
    assert run(gateway, *advice.split()[1:]).returncode == 0
    gateway.start()
    assert bought(gateway) == 40


def test_a_store_that_is_damaged_while_it_is_used_answers_503_and_health_says_so(gateway):
    for _ in range(40):
        assert gateway.top_up(1).status == 200
    file = gateway.state / "parkmeter.sqlite"
    with closing(sqlite3.connect(file)) as connection:  # or all of it would be in the log before
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(file)

    def damaged() -> bool:
        answer = gateway.top_up(1)
        assert answer.status in {200, 503}
        return answer.status == 503 and answer.json["code"] == "store_damaged"

    eventually(damaged)
    health = gateway.request("GET", "/health")
    assert (health.status, health.json["reasons"][0]) == (503, "store_damaged")
    assert "Traceback" not in gateway.output()


def test_links_that_were_sent_stop_working_when_they_are_rotated(gateway):
    before = (gateway.state / "link-secret").read_text()
    done = run(gateway, "links", "rotate")
    assert done.returncode == 0, done.stderr
    assert "no longer work" in done.stdout
    assert (gateway.state / "link-secret").read_text() != before
    lines = gateway.request("GET", "/audit").json["lines"]
    assert [line["action"] for line in lines[:2]] == ["config.reloaded", "links.rotated"]
    assert lines[0]["what"] == "links: new secret; links already sent no longer work"
    (gateway.state / "parkmeter.toml").write_text("endpoints = 1")
    assert run(gateway, "links", "rotate").returncode == 0
    actions = [line["action"] for line in gateway.request("GET", "/audit").json["lines"]]
    assert actions[:2] == ["config.refused", "links.rotated"]
    (gateway.state / "parkmeter.toml").write_text(gateway.config)


def test_an_eject_and_a_reload_are_in_the_audit_and_its_log_stream(gateway):
    gateway.until("running")
    assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
    assert run(gateway, "reload").returncode == 0
    lines = run(gateway, "audit").stdout.splitlines()
    assert "owner" in lines[-2]
    assert "endpoint.ejected" in lines[-2]
    assert "config.reloaded" in lines[-1]
    stream = [json.loads(one) for one in gateway.output().splitlines() if one.startswith("{")]
    assert [line["action"] for line in stream[-2:]] == ["endpoint.ejected", "config.reloaded"]


def test_the_audit_stream_does_not_wait_for_the_first_screen(tmp_path):
    with GatewayProcess(tmp_path / "state", ping_config("--ready-after", "60")) as gateway:
        gateway.start()
        assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
        assert '"endpoint.ejected"' in gateway.output()


def test_a_token_gets_a_new_secret_by_its_name(gateway):
    made = run(gateway, "token", "create", "ada").stdout.strip()
    fresh = run(gateway, "token", "rotate", "ada", "--cut").stdout.strip()
    answers = [
        gateway.request("GET", "/whoami", headers={"Authorization": secret}).status
        for secret in (made, fresh)
    ]
    assert answers == [403, 200]
    refused = run(gateway, "token", "rotate", "owner")
    assert "PARKMETER_BOOTSTRAP_TOKEN" in refused.stderr
