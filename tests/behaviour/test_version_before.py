"""A state folder left by the version before is opened, its server adopted and served."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkmeter.core.meter import Spec
from parkmeter.drivers.process import ProcessDriver
from parkmeter.leash.files import Files, read_json
from tests.support.gateway_process import GatewayProcess, alive, eventually, ping_config
from tests.support.version_before import export

SCHEMA = 5
"""The version of the SQLite schema that the version before wrote."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    """Run a gateway of the version before, with a top-up behind it."""
    source = export("src") / "src"
    with GatewayProcess(tmp_path / "state", ping_config(), source=source) as made:
        made.start()
        made.until("running")
        assert made.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5}).status == 201
        yield made


@pytest.fixture
def token(gateway: GatewayProcess) -> dict[str, str]:
    """Issue a token with the version before and use it once; return its header."""
    asked = {"name": "ada", "scopes": ["invoke", "top-up"], "endpoints": ["flan-t5"]}
    issued = gateway.request("POST", "/tokens", asked)
    assert issued.status == 201
    header = {"Authorization": issued.json["token"]}
    assert gateway.request("POST", "/flan", {}, header).status == 200
    return header


def upgrade(gateway: GatewayProcess) -> None:
    """Start this version on the same state folder."""
    gateway.source = None
    gateway.start()


def run_of(gateway: GatewayProcess) -> dict:
    """Return the leash's record of the only run."""
    (record,) = gateway.records()
    return record


def stored(gateway: GatewayProcess) -> dict[str, list]:
    """Return what the database holds for good: journal and tokens, row by row."""
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as database:
        tables = ("journal", "tokens")
        return {name: sorted(database.execute(f"SELECT * FROM {name}")) for name in tables}


def seen(gateway: GatewayProcess) -> tuple:
    """Return what clients see of it: meter, journal and tokens."""
    journal = gateway.request("GET", "/endpoints/flan-t5/journal").json["lines"]
    shown = [
        {key: line.get(key) for key in ("at", "kind", "minutes", "by", "expires_at")}
        for line in journal
    ]
    fields = ("id", "name", "scopes", "endpoints", "created_at", "expires_at", "minutes_per_day")
    tokens = [
        {key: token[key] for key in fields}
        for token in gateway.request("GET", "/tokens").json["tokens"]
    ]
    return gateway.endpoint()["expires_at"], shown, tokens


def deadline_of(gateway: GatewayProcess) -> dict:
    return read_json(Files(str(gateway.state / "endpoints"), "flan-t5").deadline)


def test_the_version_before_is_really_another_one():
    environment = {**os.environ, "PYTHONPATH": str(export("src") / "src")}
    command = [sys.executable, "-c", "import parkmeter.treatment as old; print(old.__file__)"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(str(export("src")))


def test_after_kill_9_of_the_version_before_its_server_is_adopted_and_served(gateway, token):
    before = seen(gateway)
    gateway.kill()
    with sqlite3.connect(gateway.state / "parkmeter.sqlite") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    rows, run = stored(gateway), run_of(gateway)
    leash = Path(f"/proc/{run['leash']}/cmdline")
    assert str(export("src")).encode() in leash.read_bytes(), "the leash is the old one's"

    upgrade(gateway)
    gateway.until("running")
    assert seen(gateway) == before
    assert stored(gateway) == rows, "no start, no credit: nothing happened"
    assert run_of(gateway) == run
    assert alive(run["server"])
    assert gateway.request("POST", "/flan", {}, token).status == 200

    old = deadline_of(gateway)
    assert gateway.top_up(10).status == 200
    expiry = datetime.fromisoformat(gateway.endpoint()["expires_at"])
    new = eventually(lambda: (now := deadline_of(gateway)) != old and now)
    assert new["version"] > old["version"]
    assert new["until"] - old["until"] == pytest.approx(600, abs=0.01)
    assert new["until"] == pytest.approx(expiry.timestamp(), abs=0.01)
    assert run_of(gateway) == run

    assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
    gateway.until("stopped")
    assert not alive(run["server"])
    assert not alive(run["leash"])
    assert gateway.request("POST", "/flan", {}, token).status == 402

    assert (
        gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5}, token).status == 201
    )
    gateway.until("running")
    assert run_of(gateway)["run"] != run["run"]
    assert gateway.request("POST", "/flan", {}, token).status == 200


def test_a_leash_of_the_version_before_heeds_a_deadline_that_this_one_writes(gateway):
    run = run_of(gateway)
    gateway.kill()
    driver = ProcessDriver(gateway.state / "endpoints", {})
    driver.keep(Spec("flan-t5"), datetime.now(UTC), deadline_of(gateway)["version"] + 1)
    eventually(lambda: not alive(run["server"]) and not alive(run["leash"]), seconds=5)


def test_an_orderly_stop_of_the_version_before_leaves_time_journal_and_tokens(gateway, token):
    expiry, journal, tokens = seen(gateway)
    assert gateway.stop() == 0
    assert not alive(run_of(gateway)["server"])
    rows = stored(gateway)

    upgrade(gateway)
    gateway.until("running")
    now = seen(gateway)
    assert now[0] >= expiry  # what the new start takes is credited
    assert now[1][-len(journal) :] == journal
    assert now[2] == tokens
    assert all(set(rows[table]) <= set(stored(gateway)[table]) for table in rows)
    assert gateway.request("POST", "/flan", {}, token).status == 200
