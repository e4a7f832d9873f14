"""The cost of a tick by the number of meters: it follows the unsettled ones only.

Ten meters are not settled: of ten, and of ten thousand. A tick lists them, looks at each and
decides; so a target of 2 times. On SQLite in processor time. On DynamoDB in requests and in items
read, because moto's own time says nothing of AWS: it walks over all items for each query. And the
status of a thousand endpoints in one query.

    python -m benchmarks.growth [--rounds 15]
"""

import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks._service import StillClock, service_on
from benchmarks.report import Bound, Claim, Effort, Row
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.money import Minutes
from parkmeter.drivers.fake import FakeDriver
from parkmeter.ports import Store
from parkmeter.service.changes import Actor
from parkmeter.service.meters import MeterService
from parkmeter.stores.dynamodb import DynamoStore, Tables
from parkmeter.stores.dynamodb_items import write_meter
from parkmeter.stores.records import written
from parkmeter.stores.sqlite import SqliteStore
from simulator.deployment import dynamodb_client, make_tables
from simulator.moto_server import moto_server

UNSETTLED = 10
MOST_SHOWN = 1000
_TICKS = 3
"""In a round, of which the shortest counts."""

_WHO = Actor("token-of-ada", "ada")


def measure(effort: Effort) -> Iterator[Row]:
    """Ratios of interleaved rounds."""
    few, many = UNSETTLED, effort.size
    with _statements() as statements:
        yield from _on_sqlite(effort, few, many, statements)
    with moto_server() as url:
        client = dynamodb_client(url)
        yield from _on_dynamodb(effort, few, many, client)
        client.close()


def _on_sqlite(effort: Effort, few: int, many: int, statements: list[str]) -> Iterator[Row]:
    status = min(MOST_SHOWN, many)
    with ExitStack() as files:
        small, large, thousand = (files.enter_context(_sqlite(n)) for n in (few, many, status))
        ticks = [_Ticking(store, n) for store, n in ((small, few), (large, many))]
        yield from _compared(effort, "SQLite", ticks, lambda: len(statements), "statements")
        pairs = ([_milliseconds(tick.top_up) for tick in ticks] for _ in range(effort.rounds))
        ratios = [mine / base for base, mine in pairs]
        subject = f"top-up with a device, {many:,} meters"
        yield Claim(subject, "time of 10 meters", ratios, "", Bound.AT_MOST, 2)
        service = service_on(thousand, _specs(status), StillClock())
        before = len(statements)
        taken = [_milliseconds(service.reports, wall=True) for _ in range(effort.rounds)]
        asked = (len(statements) - before) / effort.rounds
        subject = f"status of {status:,}, SQLite"
        yield Claim(subject, "queries", [asked], "", Bound.AT_MOST, 1)
        yield Claim(subject, "time", taken, "ms")


def _on_dynamodb(effort: Effort, few: int, many: int, client: Any) -> Iterator[Row]:
    effort = replace(effort, rounds=min(effort.rounds, 3))  # requests are the same in each
    asked = _Asked()
    client.meta.events.register("after-call.dynamodb", asked.note)
    status = min(MOST_SHOWN, many)
    small, large, thousand = (make_tables(client) for _ in range(3))
    stores = ((DynamoStore(client, small), few), (DynamoStore(client, large), many))
    ticks = [_Ticking(store, count) for store, count in stores]
    # Only now, because moto copies every table for every transaction.
    _fill(client, large, range(few, many))
    _fill(client, thousand, range(status))
    yield from _compared(effort, "DynamoDB", ticks, asked.requests.total, "requests")
    read = []
    for tick in ticks:
        before = asked.items
        tick()
        read.append(asked.items - before)
    subject = f"tick of 10, {many:,} meters, DynamoDB"
    yield Claim(subject, "items read, of 10 meters", [read[1] / read[0]], "", Bound.AT_MOST, 2)
    service = service_on(DynamoStore(client, thousand), _specs(status), StillClock())
    asked.requests.clear()
    taken = _milliseconds(service.reports, wall=True)
    subject = f"status of {status:,}, DynamoDB"
    batches = [asked.requests["BatchGetItem"] + 0.0]
    assert asked.requests.total() == batches[0]
    yield Claim(subject, "requests, of 100 each", batches, "", Bound.AT_MOST, status / 100)
    yield Claim(subject, "time, moto's", [taken], "ms")


def _compared(
    effort: Effort, store: str, ticks: "list[_Ticking]", count: Callable[[], int], what: str
) -> Iterator[Row]:
    """One tick among few meters and one among many, in turn."""
    _, large = ticks
    subject = f"tick of 10, {large.count:,} meters, {store}"
    taken: list[list[float]] = [[], []]
    asked = [0, 0]
    for _ in range(effort.rounds):
        for number, tick in enumerate(ticks):
            before = count()
            taken[number].append(min(_milliseconds(tick) for _ in range(_TICKS)))
            asked[number] += count() - before
    ratios = [mine / base for base, mine in zip(*taken, strict=True)]
    if store == "SQLite":
        yield Claim(subject, "time of 10 meters", ratios, "", Bound.AT_MOST, 2)
        yield Claim(subject, "time", taken[1], "ms")
    else:
        yield Claim(subject, "moto's time of 10 meters", ratios)
    yield Claim(subject, f"{what}, of 10 meters", [asked[1] / asked[0]], "", Bound.AT_MOST, 2)
    yield Claim(subject, what, [asked[1] / effort.rounds / _TICKS])


@dataclass
class _Ticking:
    """A service on a store with a number of meters; a call makes one pass as its clock would.

    Each endpoint has a device of its own.
    """

    store: Store
    count: int
    service: MeterService = field(init=False)

    def __post_init__(self) -> None:
        self.clock = StillClock()
        driver = FakeDriver(self.clock.now, start_takes=timedelta(0))
        self.service = service_on(self.store, _specs(self.count), self.clock, driver)
        for number in range(UNSETTLED):
            self.service.top_up(_name(number), Minutes.of(60), _WHO)
        for _ in range(4):  # until what was begun is ready and journaled
            self()

    def __call__(self) -> None:
        self.clock.woken.clear()
        self.service.sweep()
        woken = set(self.clock.woken)
        assert len(woken) == UNSETTLED, sorted(woken)
        for name in woken:
            self.service.reconcile(name)

    def top_up(self) -> None:
        """Add time to one that is open."""
        self.service.top_up(_name(0), Minutes.of(0.05), _WHO)


def _specs(count: int) -> list[Spec]:
    names = [_name(number) for number in range(count)]
    return [Spec(name, max_ahead=timedelta(days=99), device=f"gpu-{name}") for name in names]


def _name(number: int) -> str:
    return f"endpoint-{number:06}"


def _milliseconds(call: Callable[[], object], *, wall: bool = False) -> float:
    clock = time.perf_counter if wall else time.process_time
    began = clock()
    call()
    return (clock() - began) * 1e3


# ── The stores ──────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _sqlite(count: int) -> Iterator[Store]:
    """Yield a store with this number of meters, all settled."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parkmeter.sqlite"
        store = SqliteStore(path)
        with sqlite3.connect(path) as connection:
            rows = ((name, written(Meter(name, version=1))) for name in map(_name, range(count)))
            connection.executemany("INSERT INTO meters VALUES (?, 1, 1, ?)", rows)
        connection.close()
        yield store
        store.close()


def _fill(client: Any, tables: Tables, numbers: range) -> None:
    """Write settled meters, as many at once as one request takes."""
    meters = [Meter(_name(number), version=1) for number in numbers]
    items = [write_meter(tables.meters, meter, lines=0)["Put"]["Item"] for meter in meters]
    for first in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        client.batch_write_item(RequestItems={tables.meters: puts})


# ── What they were asked ────────────────────────────────────────────────────────────────────────


@contextmanager
def _statements() -> Iterator[list[str]]:
    """Every statement of every connection that is opened meanwhile."""
    seen: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **more)
        connection.set_trace_callback(seen.append)
        return connection

    sqlite3.connect = traced
    try:
        yield seen
    finally:
        sqlite3.connect = connect


@dataclass
class _Asked:
    """Requests by their kind, and items that were read."""

    requests: Counter[str] = field(default_factory=Counter)
    items: int = 0

    def note(self, parsed: dict[str, Any], model: Any, **_more: Any) -> None:
        """Count an answer; botocore calls it."""
        self.requests[model.name] += 1
        self.items += parsed.get("ScannedCount", 0) + ("Item" in parsed)
        self.items += sum(map(len, parsed.get("Responses", {}).values()))


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(15, size=10_000), smoke=Effort(1, size=200))
