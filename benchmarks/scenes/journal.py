"""A long journal.

A million lines of one endpoint over four years, and 99 other endpoints with a thousand each. A page
has 50 lines; *cold* is right after the system dropped the file from memory. The file is made once
and kept in the cache folder (0.7 GB).
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Effort, Figure, Measured
from benchmarks.programs import cache
from parkmeter.core.journal import SYSTEM, Entry, Kind
from parkmeter.core.meter import Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.gateway.clock import LocalClock
from parkmeter.notify.log import LogNotifier
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.service.meters import MeterService
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_file import SCHEMA

BUSIEST, ANY = "endpoint-00", "endpoint-50"
OTHERS, LINES_OF_OTHERS = 99, 1000
LAST = datetime(2026, 6, 1, tzinfo=UTC)
SPAN = timedelta(days=4 * 365)
MONTH = timedelta(days=30)


def measure(effort: Effort) -> Measured:
    """Read pages and receipts of the finished file."""
    figures = []
    with _journal(effort.pick(1_000_000, 20_000)) as path:
        store = SqliteStore(path)
        service = _service(store)
        for who, name in (("the busiest endpoint", BUSIEST), ("one of the others", ANY)):
            newest = service.journal(name, 1)[0].number
            for where, before in (("the last page", None), ("far back", newest // 2)):
                cold, warm = [], []
                for _ in range(effort.rounds(15)):
                    store.close()  # and with it the connections, which remember what they read
                    _forget(path)
                    cold.append(_ms(lambda n=name, b=before: service.journal(n, 50, b)))
                    warm.append(_ms(lambda n=name, b=before: service.journal(n, 50, b)))
                row = f"{who}, {where}"
                figures.append(Figure(row, "time", tuple(warm), "ms"))
                figures.append(Figure(row, "cold", tuple(cold), "ms"))
        for when, end in (("last month", LAST), ("two years ago", LAST - SPAN / 2)):
            row = f"the busiest's receipt, {when}"
            taken = [
                _ms(lambda e=end: service.receipt(BUSIEST, e - MONTH, e))
                for _ in range(effort.rounds(15))
            ]
            figures.append(Figure(row, "time", tuple(taken), "ms"))
        store.close()
    return Measured(tuple(figures))


def _service(store: SqliteStore) -> MeterService:
    """Return the use cases on a store alone: nothing runs, and nothing is called by itself."""
    clock = LocalClock()
    return MeterService(
        {name: Spec(name) for name in (BUSIEST, ANY)},
        store=store,
        driver=FakeDriver(clock.now),
        clock=clock,
        gate=LocalGate(clock.now),
        notifier=LogNotifier(),
    )


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    assert call()
    return (time.perf_counter() - began) * 1e3


def _forget(path: Path) -> None:
    """Have the system drop what it holds of the file in memory, where it can be asked to."""
    if hasattr(os, "posix_fadvise"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


@contextmanager
def _journal(lines: int) -> Iterator[Path]:
    """Yield a store with that journal; the long one is made if it is not in the cache."""
    if lines < 1_000_000:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "journal.sqlite"
            _make(path, lines)
            yield path
        return
    path = cache() / f"journal-{lines}-schema-{SCHEMA}.sqlite"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        for left in path.parent.glob(f"{unfinished.name}*"):
            left.unlink()
        _make(unfinished, lines)
        unfinished.rename(path)
    yield path


def _make(path: Path, lines: int) -> None:
    """Fill the schema directly; then mark the busiest's lines as commits would have."""
    SqliteStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("BEGIN")
    for number in range(OTHERS + 1):
        rows = _rows(f"endpoint-{number:02}", LINES_OF_OTHERS if number else lines)
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    store = SqliteStore(path)
    keeper = JournalKeeper(store)
    while keeper.tend(BUSIEST):
        pass
    store.close()


def _rows(name: str, count: int) -> Iterator[tuple[str, int, str]]:
    """Yield runs of an endpoint, one after the other, up to `LAST`."""
    minutes = timedelta(minutes=30)
    base = Entry(name, Kind.STOP, LAST, SYSTEM, "time used up", "stop:key", LAST)
    base = replace(base, variant="ml.g5.xlarge", price_per_hour=Decimal("1.41"), status="stopped")
    run = [
        base,
        replace(base, kind=Kind.TOP_UP, who="ada", why="30 min", amount=minutes, request="f" * 32),
        replace(base, kind=Kind.START, why="time was put on the meter", status="starting"),
        replace(base, kind=Kind.READY, why="serving", status="running"),
    ]
    for number in range(1, count + 1):
        at = LAST - SPAN * (1 - number / count)
        yield name, number, written(replace(run[number % len(run)], at=at, expires_at=at))
