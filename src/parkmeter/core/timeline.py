"""The journal as intervals of time: runs of the endpoint, their price and their buyer. Pure.

Entries are identified by their numbers, in whose order they come, and never by their keys, which
may recur after `KEY_LIFETIME`. An entry may be of an earlier moment than the one before it (an end
that was noticed late, a clock that was set back): nothing is counted twice for that.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Standing:
    """All that the lines up to one moment leave to later lines.

    `run`: the one that goes on. `price`: as last said, if `priced`. `owner`: whose time it is.
    `queue`: buyers and the expiry up to which each bought. `starting`: nothing is used up.
    """

    run: RunSpan | None = None
    price: Decimal | None = None
    priced: bool = False
    owner: str = SYSTEM
    queue: tuple[tuple[str, datetime], ...] = ((SYSTEM, NEVER),)
    starting: bool = False
    seen: datetime = NEVER


NOTHING = Standing()
"""Before the first line."""


class Replay:
    """Some lines in order, and what holds at each moment from the first of them on.

    `before`: what the earlier lines left. `price` is used where no line has one. The lines must go
    back at least to the last one that `leaves_stopped`, to the first one, or to `before`.
    """

    def __init__(
        self, lines: Sequence[Entry], price: Decimal | None, before: Standing = NOTHING
    ) -> None:
        self.spans = run_spans(lines, before.run)
        self._prices = _prices(lines, price, before)
        self._priced = before.priced or self._prices.changed is not None
        self._bought = _Bought(before)
        for line in lines:
            self._bought.take(line)

    def intervals(self, begin: datetime, end: datetime) -> list[Interval]:
        """Return the intervals from `begin` to `end` without a gap."""
        owners, prices = self._bought.owners_until(end), self._prices
        cuts = {begin, end}
        for moment in (
            *(span.started for span in self.spans),
            *(span.ended for span in self.spans if span.ended is not None),
            *prices.since,
            *owners.since,
        ):
            if begin < moment < end:
                cuts.add(moment)
        on = _runs_as_steps(self.spans)
        return [
            Interval(since, until, prices.at(since), owners.at(since), on.at(since))
            for since, until in pairwise(sorted(cuts))
        ]

    def price_at(self, moment: datetime) -> Decimal | None:
        """Return the price that holds at a moment."""
        return self._prices.at(moment)

    def standing(self) -> Standing:
        """Return what these lines leave to later ones."""
        last = self.spans[-1] if self.spans else None
        return Standing(
            run=last if last is not None and last.ended is None else None,
            price=self._prices.last(),
            priced=self._priced,
            owner=self._bought.whose.last(),
            queue=tuple(self._bought.queue),
            starting=self._bought.starting,
            seen=self._bought.seen,
        )


def run_spans(lines: Iterable[Entry], open_run: RunSpan | None = None) -> list[RunSpan]:
    """Return every run, in order and without overlap, from the open one of earlier lines on."""
    found: list[RunSpan] = [] if open_run is None else [open_run]

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
    """A value that changes at some moments; `first` holds before the first change.

    `changed`: when it was last set, also to the value that it had; None: never.
    """

    first: _Value
    since: list[datetime] = field(default_factory=list)
    values: list[_Value] = field(default_factory=list)
    changed: datetime | None = None

    def change(self, at: datetime, value: _Value) -> None:
        """Set the value from `at` on, or from the last change if that is later."""
        self.changed = at if self.changed is None else max(at, self.changed)
        if value != self.last():
            self.since.append(self.changed)
            self.values.append(value)

    def at(self, moment: datetime) -> _Value:
        """Return the value at a moment."""
        index = bisect_right(self.since, moment)
        return self.values[index - 1] if index else self.first

    def last(self) -> _Value:
        """Return the value after the last change."""
        return self.values[-1] if self.values else self.first


def _runs_as_steps(spans: Sequence[RunSpan]) -> _Steps[RunSpan | None]:
    steps: _Steps[RunSpan | None] = _Steps(None)
    for span in spans:
        steps.change(span.started, span)
        if span.ended is not None:
            steps.change(span.ended, None)
    return steps


def _prices(
    lines: Iterable[Entry], price: Decimal | None, before: Standing
) -> _Steps[Decimal | None]:
    """Return the prices: each holds from its first entry on, the first one also before."""
    steps: _Steps[Decimal | None] = _Steps(before.price if before.priced else price)
    for line in lines:
        # These are also written for endpoints whose configuration is gone.
        says_nothing = line.price_per_hour is None and line.kind in {Kind.CLOCK, Kind.REMOVE}
        if says_nothing:
            continue
        if steps.changed is None and not before.priced:
            steps.first = line.price_per_hour
        steps.change(line.at, line.price_per_hour)
    return steps


class _Bought:
    """The buyer of each moment: time is used up in the order in which it was bought.

    While a start is under way nothing is used up: that time belongs to the buyer whose turn it is.
    Past the last expiry it belongs to the last buyer. `queue`: buyers and the expiry up to which
    each bought; the first one's time is being used up.
    """

    def __init__(self, before: Standing) -> None:
        self.whose = _Steps(before.owner)
        self.queue = deque(before.queue)
        self.starting = before.starting
        self.seen = before.seen

    def take(self, line: Entry) -> None:
        """Take in the next entry."""
        self._use_up(line.at)
        match line.kind:
            case Kind.TOP_UP | Kind.EDIT if line.amount > ZERO:
                self._buy(line)
            case Kind.EDIT if line.who == SYSTEM:
                self._take_back(line)
            case Kind.EJECT | Kind.REMOVE | Kind.EDIT:
                self._give_up(line.expires_at)
            case Kind.CREDIT | Kind.CLOCK:  # all of it moves; a clock that jumped moved nothing
                self.queue = deque((who, until + line.amount) for who, until in self.queue)
            case Kind.START | Kind.FAILURE:
                self.starting |= line.kind is Kind.START or _ended_it(line)
            case Kind.READY | Kind.STOP:
                self.starting = False
            case Kind.TOP_UP | Kind.WARNING:
                pass
            case _:
                assert_never(line.kind)
        self.seen = max(self.seen, line.at)

    def owners_until(self, end: datetime) -> _Steps[str]:
        """Return the buyers up to `end`, which may be after the last entry."""
        whose = self.whose
        steps = _Steps(whose.first, list(whose.since), list(whose.values), whose.changed)
        if not self.starting:
            for (_, until), (who, _) in pairwise(self.queue):
                if until > end:
                    break
                steps.change(max(until, self.seen), who)
        return steps

    def _use_up(self, now: datetime) -> None:
        """Drop the buyers whose time is used up at `now`."""
        while not self.starting and len(self.queue) > 1 and self.queue[0][1] <= now:
            _, until = self.queue.popleft()
            self.whose.change(max(until, self.seen), self.queue[0][0])

    def _buy(self, line: Entry) -> None:
        base = line.expires_at - line.amount
        was_closed = base >= line.at >= self.queue[-1][1]
        if was_closed:
            # Until it is ready or has stopped nothing is used up: it may wait for its device.
            self.starting = True
            self.queue.clear()
            self.whose.change(line.at, line.who)
        elif self.queue[-1][0] == line.who:
            self.queue.pop()  # one piece of time, however many top-ups
        self.queue.append((line.who, line.expires_at))

    def _take_back(self, line: Entry) -> None:
        """Take a window's time out of the middle; time that people bought behind it moves up."""
        left, queue = -line.amount, list(self.queue)
        for index in range(len(queue) - 1, -1, -1):
            who, until = queue[index]
            begin = max(line.at, queue[index - 1][1] if index else line.at)
            if who == SYSTEM and (gone := min(left, until - begin)) > ZERO:
                left -= gone
                queue[index:] = [(one, at - gone) for one, at in queue[index:]]
        self.queue = deque(queue)
        self._give_up(line.expires_at)

    def _give_up(self, expires_at: datetime) -> None:
        """Drop the time beyond this expiry."""
        while len(self.queue) > 1 and self.queue[-2][1] >= expires_at:
            self.queue.pop()
        who, until = self.queue.pop()
        self.queue.append((who, min(until, expires_at)))
