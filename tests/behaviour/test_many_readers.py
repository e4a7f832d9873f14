"""A token that may only look, and a store that another process writes, stop nobody else."""

import http.client
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.ledger import EVERY
from parkmeter.core.tokens import Token, digest_of
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from tests.support.gateway_process import GatewayProcess, eventually, ping_config

LINES = 20_000
LOOKER = "a-token-that-may-only-look"
SECONDS = 10.0
"""For any answer while forty clients ask for receipts; before, they timed out after 20 s."""


def journal_of_an_older_version(path: Path) -> None:
    """Write a journal without marks, as versions before them left it."""
    store = SqliteStore(path)
    store.put_token(
        Token("looker", digest_of(LOOKER), "looker", datetime.now(UTC), scopes=frozenset())
    )
    store.close()
    begin = datetime.now(UTC) - timedelta(days=20)
    step = timedelta(days=19) / LINES
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO journal (endpoint, number, body) VALUES ('flan-t5', ?, ?)",
            (
                (
                    number,
                    written(
                        Entry(
                            endpoint="flan-t5",
                            kind=Kind.TOP_UP,
                            at=begin + number * step,
                            who=("ada", "bob")[number // 100 % 2],
                            why="",
                            key=f"before {number}",
                            expires_at=begin + (number + 1) * step,
                            amount=step,
                            status="running",
                            price_per_hour=Decimal("1.20"),
                        )
                    ),
                )
                for number in range(1, LINES + 1)
            ),
        )
        connection.commit()


def marks_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM marks").fetchone()[0]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    (tmp_path / "state").mkdir()
    journal_of_an_older_version(tmp_path / "state" / "parkmeter.sqlite")
    with GatewayProcess(tmp_path / "state", ping_config()).start() as made:
        made.until("running")
        yield made


@contextmanager
def readers(gateway: GatewayProcess, count: int, path: str) -> Iterator[list[int]]:
    """Keep asking for a path, on so many connections, with the token that may only look."""
    ended, statuses = threading.Event(), []

    def ask() -> None:
        while not ended.is_set():
            try:
                answer = gateway.request("GET", path, headers={"Authorization": LOOKER})
                statuses.append(answer.status)
            except (OSError, http.client.HTTPException):
                statuses.append(0)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)


def timed(gateway: GatewayProcess, method: str, path: str, body: object = None) -> int:
    begun = time.monotonic()
    status = gateway.request(method, path, body, timeout=SECONDS).status
    assert time.monotonic() - begun < SECONDS
    return status


def test_forty_loops_of_receipts_by_a_looker_stop_neither_top_up_nor_eject(gateway):
    with readers(gateway, 40, "/endpoints/flan-t5/receipt") as statuses:
        for _ in range(3):
            time.sleep(0.3)
            assert timed(gateway, "GET", "/health") == 200
            assert timed(gateway, "GET", "/endpoints/flan-t5") == 200
            assert timed(gateway, "GET", "/metrics") == 200
            assert timed(gateway, "POST", "/endpoints/flan-t5/top-ups", {"minutes": 1}) == 201
        assert timed(gateway, "POST", "/endpoints/flan-t5/eject", {}) == 200
    assert set(statuses) == {200}
    document = gateway.request("GET", "/endpoints/flan-t5/receipt").json
    assert {part["who"] for part in document["parts"]} >= {"ada", "bob"}


def test_no_read_waits_for_another_process_that_writes_the_store(gateway):
    path = gateway.state / "parkmeter.sqlite"
    eventually(lambda: marks_in(path) > LINES // EVERY // 2, seconds=120, every=0.5)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writers = [
            threading.Thread(
                target=lambda: gateway.request(
                    "POST", "/endpoints/flan-t5/top-ups", {"minutes": 1}
                ),
                daemon=True,
            )
            for _ in range(60)
        ]
        for thread in writers:
            thread.start()
        time.sleep(0.5)
        try:
            for asked in ("/whoami", "/endpoints", "/tokens", "/metrics", "/health"):
                begun = time.monotonic()
                assert gateway.request("GET", asked, timeout=5).status == 200
                assert time.monotonic() - begun < 5, asked
            for asked in ("journal", "receipt", "timeline"):
                path = f"/endpoints/flan-t5/{asked}"
                assert gateway.request("GET", path, timeout=5).status == 200
        finally:
            other.execute("ROLLBACK")
            for thread in writers:
                thread.join(60)
