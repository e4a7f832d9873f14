"""Figures from the journal that a report shows: the cost of the run, the usual start time.

Reports are requested all the time and the journal grows only with the meter's version, so results
are cached by version.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Protocol

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.ledger import Position, Price
from parkmeter.core.meter import Status
from parkmeter.core.money import dollars_from, units_of
from parkmeter.core.receipt import between, units
from parkmeter.core.report import Report

_LAST_STARTS = 9
_LINES = 200
"""Entries searched for the last starts, each of which has a few."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The figures of one endpoint.

    `cost_so_far`: dollars since the start call of the present endpoint, as on its receipt; None if
    a price is unknown. `usual_start`: only while it starts; None if unknown.
    """

    cost_so_far: Decimal | None
    usual_start: timedelta | None


@dataclass(frozen=True, slots=True)
class _Spent:
    """Units of $0.0001 up to `at`, and the price from there on; None: unknown."""

    version: int
    at: datetime
    units: Fraction | None
    price: Decimal | None


class Entries(Protocol):
    """The newest entries of an endpoint, newest first; a store, or `service.meters`."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]: ...  # noqa: D102


class Journal(Entries, Protocol):
    """The source of the figures; see `service.meters`."""

    def position(self, name: str, moment: datetime, price: Price) -> Position: ...  # noqa: D102


class RunStats:
    """The figures of all endpoints of one journal. From any thread: at worst it reads twice."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._spent: dict[str, _Spent] = {}
        self._starts: dict[str, tuple[int, timedelta | None]] = {}

    def of(self, report: Report) -> RunSummary:
        """Return the figures for a report that was just made."""
        starting = report.shown.status is Status.STARTING
        return RunSummary(self._cost(report), self._usual_start(report) if starting else None)

    def usual_start(self, report: Report) -> timedelta | None:
        """Return the usual duration of a start, whatever it does now; None if unknown."""
        return self._usual_start(report)

    def _cost(self, report: Report) -> Decimal | None:
        name, meter, present = report.spec.name, report.meter, report.price.per_hour
        begin = meter.run.created_at
        if begin is None:
            return None if present is None else Decimal(0)
        end = max(begin, report.at)
        spent = self._spent.get(name)
        if spent is None or spent.version != meter.version or spent.at > end:
            last = self._journal.position(name, end, present)
            if last.run is not None and last.run.started == begin:
                cost = units(last.sums.run)
            else:
                cost = units(between(self._journal.position(name, begin, present), last))
            price = present if last.run is None else last.price
            spent = _Spent(meter.version, end, cost, price)
            self._spent[name] = spent
        if spent.units is None or spent.price is None:
            return None
        return dollars_from(spent.units + units_of(end - spent.at, spent.price))

    def _usual_start(self, report: Report) -> timedelta | None:
        name, version = report.spec.name, report.meter.version
        known, found = self._starts.get(name, (None, None))
        if known != version:
            found = usual_start_in(self._journal, name)
            self._starts[name] = (version, found)
        return found


def usual_start_in(journal: Entries, name: str) -> timedelta | None:
    """Return the median of an endpoint's last starts; None if it has not started yet."""
    return usual_start(journal.journal(name, _LINES)[::-1])


def usual_start(lines: Iterable[Entry]) -> timedelta | None:
    """Return the median of the last starts in these entries, from first attempt to ready."""
    took: list[timedelta] = []
    begun: datetime | None = None
    for line in lines:
        match line.kind:
            case Kind.START:
                begun = begun or line.at
            case Kind.READY:
                if begun is not None:
                    took.append(max(timedelta(0), line.at - begun))
                begun = None
            case Kind.STOP:
                begun = None
            case _:
                pass
    if not took:
        return None
    return timedelta(seconds=median(one.total_seconds() for one in took[-_LAST_STARTS:]))
