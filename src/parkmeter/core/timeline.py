"""The journal as intervals of time: runs of the endpoint, their price and their buyer. Pure.

Entries are identified by their numbers, in whose order they come, and never by their keys, which
may recur after `KEY_LIFETIME`. An entry may be of an earlier moment than the one before it (an end
that was noticed late, a clock that was set back): nothing is counted twice for that.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Generic, TypeVar, assert_never

from parkmeter.core.journal import SYSTEM, Entry, Kind
from parkmeter.core.meter import NEVER, ZERO, Status

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class RunSpan:
    """From a start call to its end; `ended` is None while it goes on."""

    started: datetime
    ended: datetime | None
    variant: str | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A period in which nothing changed. `run` is None where the endpoint was off.

    `price` is dollars per hour, None where it is unknown; `who`: the buyer of this time.
    """

    begin: datetime
    end: datetime
    price: Decimal | None
    who: str
    run: RunSpan | None


def leaves_stopped(entry: Entry) -> bool:
    """Return whether later entries can be understood without this one and those before it."""
    return entry.kind is Kind.STOP and entry.status == Status.STOPPED


def intervals(
    entries: Iterable[Entry], price: Decimal | None, begin: datetime, end: datetime
) -> list[Interval]:
    """Return the intervals from `begin` to `end` without a gap, from ordered entries.

    The entries go back at least to the last one before `begin` that `leaves_stopped`, or to the
    first. `price` is used where no entry has one.
    """
    # Later entries too: a moment gives the same result in every period.
    lines = list(entries)
    spans = run_spans(lines)
    prices, owners = _prices(lines, price), _owners(lines, end)
    cuts = {begin, end}
    for moment in (
        *(span.started for span in spans),
        *(span.ended for span in spans if span.ended is not None),
        *prices.since,
        *owners.since,
    ):
        if begin < moment < end:
            cuts.add(moment)
    moments = sorted(cuts)
    on = _runs_as_steps(spans)
    return [
        Interval(since, until, prices.at(since), owners.at(since), on.at(since))
        for since, until in pairwise(moments)
    ]


def run_spans(lines: Iterable[Entry]) -> list[RunSpan]:
    """Return every run, in order and without overlap."""
    found: list[RunSpan] = []

    def end(at: datetime) -> None:
        if found and found[-1].ended is None:
            found[-1] = replace(found[-1], ended=max(at, found[-1].started))

    for line in lines:
        match line.kind:
            case Kind.START:
                end(line.at)  # its end was not seen, but another took its place
            case Kind.READY if found and found[-1].ended is None:
                continue
            case Kind.READY:
                pass  # found alive: its start call is not known
            case Kind.STOP:
                end(line.at)
                continue
            case Kind.FAILURE if _ended_it(line):
                end(line.at)
                continue
            case _:
                continue
        last = found[-1].ended if found else None
        found.append(RunSpan(max(line.at, last or line.at), None, line.variant))
    return found


def _ended_it(line: Entry) -> bool:
    """Return whether the endpoint failed, and not its driver (`decide.trouble`)."""
    return not line.key.startswith("trouble:")


# ── Values that change over time ────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Steps(Generic[_Value]):
    """A value that changes at some moments; `first` holds before the first change."""

    first: _Value
    since: list[datetime]
    values: list[_Value]

    def change(self, at: datetime, value: _Value) -> None:
        """Set the value from `at` on, or from the last change if that is later."""
        self.since.append(max(at, self.since[-1]) if self.since else at)
        self.values.append(value)

    def at(self, moment: datetime) -> _Value:
        """Return the value at a moment."""
        index = bisect_right(self.since, moment)
        return self.values[index - 1] if index else self.first


def _runs_as_steps(spans: Sequence[RunSpan]) -> _Steps[RunSpan | None]:
    steps: _Steps[RunSpan | None] = _Steps(None, [], [])
    for span in spans:
        steps.change(span.started, span)
        if span.ended is not None:
            steps.change(span.ended, None)
    return steps


def _prices(lines: Iterable[Entry], price: Decimal | None) -> _Steps[Decimal | None]:
    """Return the prices: each holds from its first entry on, the first one also before."""
    steps: _Steps[Decimal | None] = _Steps(price, [], [])
    for line in lines:
        # These are also written for endpoints whose configuration is gone.
        says_nothing = line.price_per_hour is None and line.kind in {Kind.CLOCK, Kind.REMOVE}
        if says_nothing:
            continue
        if not steps.since:
            steps.first = line.price_per_hour
        steps.change(line.at, line.price_per_hour)
    return steps


def _owners(lines: Iterable[Entry], end: datetime) -> _Steps[str]:
    bought = _Bought()
    for line in lines:
        bought.take(line)
    bought.use_up(end)
    return bought.whose


class _Bought:
    """The buyer of each moment: time is used up in the order in which it was bought.

    While a start is under way nothing is used up: that time belongs to the buyer whose turn it is.
    Past the last expiry it belongs to the last buyer.
    """

    def __init__(self) -> None:
        self.whose = _Steps(SYSTEM, [], [])
        self._queue = [(SYSTEM, NEVER)]
        """Buyers and the expiry up to which each bought; the first one's time is being used up."""
        self._starting = False
        self._seen = NEVER

    def take(self, line: Entry) -> None:
        """Take in the next entry."""
        self.use_up(line.at)
        match line.kind:
            case Kind.TOP_UP | Kind.EDIT if line.amount > ZERO:
                self._buy(line)
            case Kind.EDIT if line.who == SYSTEM:
                self._take_back(line)
            case Kind.EJECT | Kind.REMOVE | Kind.EDIT:
                self._give_up(line.expires_at)
            case Kind.CREDIT | Kind.CLOCK:  # all of it moves; a clock that jumped moved nothing
                self._queue = [(who, until + line.amount) for who, until in self._queue]
            case Kind.START | Kind.FAILURE:
                self._starting |= line.kind is Kind.START or _ended_it(line)
            case Kind.READY | Kind.STOP:
                self._starting = False
            case Kind.TOP_UP | Kind.WARNING:
                pass
            case _:
                assert_never(line.kind)
        self._seen = max(self._seen, line.at)

    def use_up(self, now: datetime) -> None:
        """Drop the buyers whose time is used up at `now`."""
        while not self._starting and len(self._queue) > 1 and self._queue[0][1] <= now:
            _, until = self._queue.pop(0)
            self.whose.change(max(until, self._seen), self._queue[0][0])

    def _buy(self, line: Entry) -> None:
        base = line.expires_at - line.amount
        was_closed = base >= line.at >= self._queue[-1][1]
        if was_closed:
            # Until it is ready or has stopped nothing is used up: it may have to wait its turn.
            self._starting = True
            self._queue.clear()
            self.whose.change(line.at, line.who)
        self._queue.append((line.who, line.expires_at))

    def _take_back(self, line: Entry) -> None:
        """Take a window's time out of the middle; time that people bought behind it moves up."""
        left = -line.amount
        for index in range(len(self._queue) - 1, -1, -1):
            who, until = self._queue[index]
            begin = max(line.at, self._queue[index - 1][1] if index else line.at)
            if who == SYSTEM and (gone := min(left, until - begin)) > ZERO:
                left -= gone
                self._queue[index:] = [(one, at - gone) for one, at in self._queue[index:]]
        self._give_up(line.expires_at)

    def _give_up(self, expires_at: datetime) -> None:
        """Drop the time beyond this expiry."""
        while len(self._queue) > 1 and self._queue[-2][1] >= expires_at:
            self._queue.pop()
        who, until = self._queue.pop()
        self._queue.append((who, min(until, expires_at)))
