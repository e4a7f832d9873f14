"""Top-ups a second, each durable when it is answered: 1,000, or 0.8 of what bare sqlite3 commits.

Eight threads top up through the use case, as the gateway does, on a store with `synchronous=FULL`;
bare sqlite3 writes the same rows from one thread, one commit each, with nothing decided and nothing
read. Both in turn, on the disk of the temporary folder. Over HTTP a whole gateway takes part, whose
leashes keep a deadline on the disk for each top-up.

    python -m benchmarks.top_ups [--rounds 7] [--seconds 1]
"""

import http.client
import json
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import report
from benchmarks._service import StillClock, service_on
from benchmarks.report import Bound, Claim, Effort, Row, Version
from benchmarks.start import TOKEN, gateway
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.service.changes import Actor
from parkmeter.stores.sqlite import SqliteStore

CLIENTS = 8
WHO = Actor("token-of-ada", "ada")
_FAR = timedelta(days=10_000)
_NAMES = [f"endpoint-{number}" for number in range(CLIENTS)]

_GATEWAY = """
[gateway]
changes_per_second = 1000000
""" + "\n".join(
    f"""[endpoints.{name}]
command = ["sh", "-c", "exec sleep 600", "{{port}}"]
initial_provision_time_minutes = 1
max_minutes_ahead = 500000
start_timeout_seconds = 600
"""
    for name in _NAMES
)


def measure(effort: Effort) -> Iterator[Row]:
    """Rates of interleaved rounds, then what one caller waits, then the way over HTTP."""
    yield Version("SQLite", sqlite3.sqlite_version)
    rates: dict[str, list[float]] = {"bare": [], "many": [], "one": []}
    longest: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        _our_own(Path(folder)) as top_up,
        _bare(Path(folder)) as commit,
    ):
        for _ in range(effort.rounds):
            rates["bare"].append(len(_load([commit], effort.seconds)) / effort.seconds)
            waits = _load([_of(top_up, name) for name in _NAMES], effort.seconds)
            rates["many"].append(len(waits) / effort.seconds)
            longest.append(statistics.quantiles(waits, n=100)[-1] * 1e3)
            waits = _load([_of(top_up, _NAMES[0])] * CLIENTS, effort.seconds)
            rates["one"].append(len(waits) / effort.seconds)
    pairs = list(zip(rates["many"], rates["bare"], strict=True))
    reached = [max(own / 1000, own / bare / 0.8) for own, bare in pairs]
    subject = f"top-ups, {CLIENTS} threads"
    yield Claim(subject, "a second", rates["many"], "/s")
    yield Claim("bare sqlite3, 1 thread", "commits a second", rates["bare"], "/s")
    yield Claim(subject, "against bare", [own / bare for own, bare in pairs])
    yield Claim(subject, "of 1,000/s or 0.8 of bare", reached, "", Bound.AT_LEAST, 1)
    yield Claim(subject, "99 of 100 wait at most", longest, "ms")
    yield Claim(f"{subject}, one endpoint", "a second", rates["one"], "/s")
    yield from _over_http(effort)


def _load(calls: list[Callable[[], object]], seconds: float) -> list[float]:
    """Return the time of each call, repeated for some seconds, each in a thread of its own."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def work(call: Callable[[], object]) -> None:
        began = time.perf_counter()
        while began < end:
            call()
            now = time.perf_counter()
            taken.append(now - began)
            began = now

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _of(top_up: Callable[[str], object], name: str) -> Callable[[], object]:
    return lambda: top_up(name)


# ── Who is asked ────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _our_own(folder: Path) -> Iterator[Callable[[str], object]]:
    """Top up an endpoint through the use case."""
    store = SqliteStore(folder / "own.sqlite")
    specs = [Spec(name, max_ahead=_FAR) for name in _NAMES]
    service = service_on(store, specs, StillClock())
    for name in _NAMES:
        service.top_up(name, Minutes.of(10), WHO)
    yield lambda name: service.top_up(name, Minutes.of(0.02), WHO)
    store.close()


@contextmanager
def _bare(folder: Path) -> Iterator[Callable[[], object]]:
    """Commit rows of the same length as those that a top-up writes."""
    own = sqlite3.connect(folder / "own.sqlite")
    (meter,) = own.execute("SELECT body FROM meters").fetchone()
    (line,) = own.execute("SELECT body FROM journal").fetchone()
    key, at = own.execute("SELECT key, at FROM keys").fetchone()
    schema = own.execute("SELECT sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'").fetchall()
    own.close()
    connection = sqlite3.connect(
        folder / "bare.sqlite", isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for (statement,) in schema:
        connection.execute(statement)
    connection.execute("INSERT INTO meters VALUES ('endpoint-0', 0, 0, '')")
    numbers = iter(range(10**9))

    def commit() -> None:
        number = next(numbers)
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        execute("UPDATE meters SET version = ?, body = ?", (number, meter))
        execute("INSERT INTO journal VALUES ('endpoint-0', ?, ?)", (number, line))
        unique = f"{key[:-12]}{number:012}"
        execute("INSERT INTO keys VALUES ('endpoint-0', ?, ?, ?)", (unique, at, number))
        execute("COMMIT")

    yield commit
    connection.close()


def _over_http(effort: Effort) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "parkmeter.toml"
        config.write_text(_GATEWAY, encoding="utf-8")
        with gateway(Path(folder), "--config", str(config)):
            address = _address(Path(folder))
            rates, longest = [], []
            for _ in range(max(1, effort.rounds // 2)):
                calls = [_client(address, name) for name in _NAMES]
                waits = _load(calls, effort.seconds)
                rates.append(len(waits) / effort.seconds)
                longest.append(statistics.quantiles(waits, n=100)[-1] * 1e3)
    subject = f"top-ups over HTTP, {CLIENTS} clients"
    yield Claim(subject, "a second", rates, "/s")
    yield Claim(subject, "99 of 100 wait at most", longest, "ms")


def _address(state: Path) -> str:
    """Return host:port of the gateway as soon as it accepts connections."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        try:
            address = urlsplit(json.loads((state / "client.json").read_text())["url"]).netloc
            with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
                connection.connect()
        except (OSError, ValueError):
            time.sleep(0.02)
        else:
            return address
    raise SystemExit("the gateway did not start within 20 seconds")


def _client(address: str, name: str) -> Callable[[], object]:
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"Authorization": TOKEN, "Content-Type": "application/json"}
    body = json.dumps({"minutes": 0.02})

    def ask() -> None:
        connection.request("POST", f"/endpoints/{name}/top-ups", body, headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status != http.client.CREATED:
            raise SystemExit(f"{answer.status} {told.decode()}")

    return ask


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(7), smoke=Effort(1, 0.2))
