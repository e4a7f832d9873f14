"""Long journals: 50 of ten million lines in 20 ms, the receipt of a month of a million in 50 ms.

Half of the ten million lines belong to one endpoint, the rest to 999 others. The million are those
of one endpoint, with the marks that commits would have added. Both span four years. The files are
made once, in some minutes, and kept in the cache folder (about 6 GB; not where that would leave
less than 10 GB). "Cold" is asked right after the system dropped the file from its cache.

    python -m benchmarks.long_journal [--rounds 20] [--smoke]
"""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks import report
from benchmarks._service import StillClock, service_on
from benchmarks.report import Bound, Claim, Effort, Missing, Row
from parkmeter.core.journal import SYSTEM, Entry, Kind
from parkmeter.core.meter import Spec
from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.service.meters import MeterService
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_file import SCHEMA

BUSIEST, ANY = "endpoint-0000", "endpoint-0500"
OTHERS = 999
RECEIPTS = 10
"""The journal of the receipts is this many times shorter."""

LAST = datetime(2026, 6, 1, tzinfo=UTC)
SPAN = timedelta(days=4 * 365)
MONTH = timedelta(days=30)

_BYTES_A_LINE = 560
_KEEP_FREE = 10 * 1024**3


def measure(effort: Effort) -> Iterator[Row]:
    """One figure a round, each in milliseconds."""
    with _journal(effort.size, OTHERS) as path:
        if path is None:
            yield Missing("the long journal", "it would leave less than 10 GB on the disk")
            return
        store = SqliteStore(path)
        yield from _pages(_service(store), store, path, effort)
        store.close()
    with _journal(effort.size // RECEIPTS, 0) as path:
        if path is None:
            yield Missing("the receipts", "they would leave less than 10 GB on the disk")
            return
        store = SqliteStore(path)
        yield from receipts(_service(store), effort)
        store.close()


def _service(store: SqliteStore) -> MeterService:
    return service_on(store, [Spec(BUSIEST), Spec(ANY)], StillClock())


def _pages(service: MeterService, store: SqliteStore, path: Path, effort: Effort) -> Iterator[Row]:
    def target(subject: str, values: list[float]) -> Claim:
        return Claim(subject, "a page of 50", values, "ms", Bound.AT_MOST, 20)

    for who, name in (("the busiest endpoint", BUSIEST), ("one of a thousand", ANY)):
        newest = service.journal(name, 1)[0].number
        for where, before in (("the last", None), ("far back", newest // 2)):

            def page(name: str = name, before: int | None = before) -> None:
                assert service.journal(name, 50, before)

            warm, cold = [], []
            for _ in range(effort.rounds):
                store.close()  # its connections, which remember what they read
                _forget(path)
                cold.append(_milliseconds(page))
                warm.append(_milliseconds(page))
            yield target(f"{who}, {where}", warm)
            yield target(f"{who}, {where}, cold", cold)


def receipts(service: MeterService, effort: Effort) -> Iterator[Row]:
    """Receipts of a month, which read two marks and the runs of the month; and of all time."""
    lines = effort.size // RECEIPTS
    for when, end in (("last", LAST), ("two years ago", LAST - SPAN / 2)):

        def month(end: datetime = end) -> int:
            return len(service.receipt(BUSIEST, end - MONTH, end).runs)

        subject = f"receipt of a month, {when}"
        figure = f"{month():,} runs, of {lines:,} lines"
        values = [_milliseconds(month) for _ in range(effort.rounds)]
        yield Claim(subject, figure, values, "ms", Bound.AT_MOST, 50)
    values = [_milliseconds(lambda: service.receipt(BUSIEST)) for _ in range(min(effort.rounds, 3))]
    yield Claim("receipt of all time", f"{lines:,} lines", values, "ms")


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _forget(path: Path) -> None:
    """Have the system drop what it holds of the file in memory, where it can be asked to."""
    if hasattr(os, "posix_fadvise"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


# ── The file ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _journal(size: int, others: int) -> Iterator[Path | None]:
    """Yield a store with journals of `size` lines, created if missing; None without disk space.

    A small one is made in a folder of its own and removed again.
    """
    if size < 1_000_000:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "journal.sqlite"
            _make(path, size, others)
            yield path
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "parkmeter" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"journal-{size}-of-{others + 1}-schema-{SCHEMA}.sqlite"
    if not path.exists():
        if shutil.disk_usage(folder).free - size * _BYTES_A_LINE < _KEEP_FREE:
            yield None
            return
        unfinished = path.with_suffix(".unfinished")
        for left in folder.glob(f"{unfinished.name}*"):
            left.unlink()
        _make(unfinished, size, others)
        unfinished.rename(path)
    yield path
    if shutil.disk_usage(folder).free < _KEEP_FREE:
        path.unlink()


def _make(path: Path, size: int, others: int) -> None:
    """Fill the schema directly, without SQLite's own journal: a broken file is made again.

    Without other endpoints all lines are the busiest one's, and are marked.
    """
    SqliteStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.execute("BEGIN")
    for number in range(others + 1):
        lines = size if not others else size // 2 if number == 0 else size // 2 // others
        rows = _rows(f"endpoint-{number:04}", lines)
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    if not others:
        store = SqliteStore(path)
        keeper = JournalKeeper(store)
        while keeper.tend(BUSIEST):
            pass
        store.close()


def _rows(name: str, count: int) -> Iterator[tuple[str, int, str]]:
    """Lives of an endpoint, one after the other, up to `LAST`."""
    templates = _life(name)
    step = SPAN / count
    at = LAST - SPAN
    for number in range(1, count + 1):
        at += step
        before, between, after = templates[number % len(templates)]
        moment = at.isoformat(timespec="microseconds")
        yield name, number, f"{before}{moment}{between}{moment}{after}"


def _life(name: str) -> list[tuple[str, str, str]]:
    """Return the lines of one life as they are written, around their time and their expiry."""
    base = Entry(
        endpoint=name,
        kind=Kind.STOP,
        at=LAST,
        who=SYSTEM,
        why="time used up",
        key="stop:2026-06-01T00:00:00.000000+00:00:1",
        expires_at=LAST,
        status="stopped",
        request="",
        variant="ml.g5.xlarge",
        price_per_hour=Decimal("1.41"),
    )
    minutes = timedelta(minutes=30)
    told = [
        base,
        replace(base, kind=Kind.TOP_UP, who="ada", why="30 min", amount=minutes, request="f" * 32),
        replace(base, kind=Kind.START, why="time was put on the meter", status="starting"),
        replace(base, kind=Kind.READY, why="serving", status="running"),
        replace(base, kind=Kind.CREDIT, why="start-up", amount=minutes / 10, status="running"),
        replace(base, kind=Kind.WARNING, why="10 min 0 s left", status="running"),
        replace(base, kind=Kind.WARNING, why="2 min 0 s left", status="running"),
    ]
    mark = f'"{LAST.isoformat()}"'
    lines = []
    for entry in told:
        before, between, after = written(entry).split(mark)
        lines.append((f'{before}"', f'"{between}"', f'"{after}'))
    return lines


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(20, size=10_000_000), smoke=Effort(1, size=100_000))
