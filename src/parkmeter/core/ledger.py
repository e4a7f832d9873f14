"""Sums kept with the journal, so that a receipt costs what is asked for. Pure.

A mark has everything that the lines up to its number add up to: the time on by buyer and price, the
time bought, the runs that ended, and what later lines need to know of earlier ones. A position is
the same at any moment, replayed from the mark before it. What a period cost is the difference of
two positions, so it reads two marks and the lines beside them, however long the journal is.

All sums are whole microseconds, so marks add up to exactly what a replay of every line gives. A
mark holds only while no later line is of an earlier moment; the store drops it with such a line.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import NEVER, ZERO
from parkmeter.core.status_history import NOT_YET, Showing, left_showing
from parkmeter.core.timeline import (
    NOTHING,
    Interval,
    Replay,
    RunSpan,
    Standing,
    leaves_stopped,
    run_spans,
)

EVERY = 128
"""Lines between two marks: a receipt replays at most these at either end of its period."""

_BUYERS_A_LINE = 16
"""A mark names every buyer whose time is not used up. Where they are many, marks are fewer, so that
each line pays for a bounded piece of a mark."""

_CATCH_UP = 1024
"""Lines that a commit replays at most; where a mark is missing before them, it comes later."""

Price = Decimal | None
Times = Mapping[Price, timedelta]
"""Time by its price per hour; None: unknown."""

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PricedRun:
    """A run and its time by price."""

    span: RunSpan
    time: Times


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums from the first line to some moment.

    `on`: by buyer and price; `whole`: on or off, by price; `bought`: by buyer; `run`: of the run
    that goes on; `lived`: since the endpoint was last left stopped, None if nothing was started.
    """

    on: Mapping[tuple[str, Price], timedelta] = field(default_factory=dict)
    whole: Times = field(default_factory=dict)
    bought: Mapping[str, timedelta] = field(default_factory=dict)
    run: Times = field(default_factory=dict)
    lived: Times | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """The sums of all lines up to `number`, none of which is later than `at`.

    `origin`: the moment of the first line. `runs`: those that ended since the mark before.
    `run`: the one that goes on. `lasting`: it stands for lines that are gone. `standing`: None if
    nothing can be replayed from it: it has the sums of a day whose lines are gone.
    """

    number: int
    at: datetime
    origin: datetime
    sums: Sums
    standing: Standing | None
    showing: Showing = NOT_YET
    run: RunSpan | None = None
    runs: tuple[PricedRun, ...] = ()
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """The sums at one moment. `run`: the one that is on; `ended`: those since the mark before.

    `price`: that of the moment.
    """

    at: datetime
    origin: datetime
    sums: Sums
    run: RunSpan | None
    ended: tuple[PricedRun, ...]
    price: Price


class Segment:
    """The lines that follow a mark, or the first line, and the positions in them.

    `lines` are all up to the next mark, or to the last. `price`: used where no line has one.
    """

    def __init__(
        self,
        before: Mark | None,
        lines: Sequence[Entry],
        price: Price,
        origin: datetime | None = None,
    ) -> None:
        self._before = before
        self._lines = lines
        if before is not None:
            self._origin, self._since = before.origin, before.at
        else:
            self._origin = self._since = origin or (lines[0].at if lines else NEVER)
        standing = before.standing if before is not None else None
        self._replay = Replay(lines, price, standing or NOTHING)
        self._sums = before.sums if before is not None else Sums()

    def position(self, moment: datetime) -> Position:
        """Return the sums up to a moment of this segment."""
        replay = self._replay
        pieces = replay.intervals(self._since, max(self._since, moment))
        on = [piece for piece in pieces if piece.run is not None]
        open_run, ended = None, []
        of_runs = self._by_run(on)
        for span in replay.spans:
            time = of_runs.get(span, {})
            if span.ended is not None and span.ended <= moment:
                if any(time.values()):
                    ended.append(PricedRun(span, time))
            elif span.started < moment:
                open_run = span
        sums = Sums(
            on=_added(self._sums.on, (((one.who, one.price), one) for one in on)),
            whole=_added(self._sums.whole, ((one.price, one) for one in pieces)),
            bought=self._bought(moment),
            run=of_runs.get(open_run, {}) if open_run is not None else {},
            lived=self._lived(on),
        )
        price = replay.price_at(moment)
        return Position(moment, self._origin, sums, open_run, tuple(ended), price)

    def mark(self) -> Mark | None:
        """Return the mark after the last line; None if there can be none, or too few lines."""
        standing = self._replay.standing()
        last = self._lines[-1]
        # A clock that was set back: the next lines would undo the mark.
        behind = last.at < max(standing.seen, self._since)
        if behind or not standing.priced or len(self._lines) < spacing(standing):
            return None
        found = self.position(last.at)
        # Of exactly this moment too, of which later lines may be as well.
        bought = self._bought(None)
        sums = Sums(found.sums.on, found.sums.whole, bought, found.sums.run, found.sums.lived)
        showing = self._before.showing if self._before is not None else NOT_YET
        for line in self._lines:
            showing = left_showing(showing, line)
        return Mark(
            number=last.number,
            at=last.at,
            origin=self._origin,
            sums=sums,
            standing=standing,
            showing=showing,
            run=standing.run,
            runs=found.ended,
        )

    def _by_run(self, on: Iterable[Interval]) -> dict[RunSpan, dict[Price, timedelta]]:
        """Return the time of each run by price, from its start."""
        found: dict[RunSpan, dict[Price, timedelta]] = {}
        before = self._before
        if before is not None and before.standing is not None and before.standing.run is not None:
            found[self._replay.spans[0]] = dict(before.sums.run)
        for piece in on:
            assert piece.run is not None  # noqa: S101 (those that are on)
            of_run = found.setdefault(piece.run, {})
            of_run[piece.price] = of_run.get(piece.price, ZERO) + (piece.end - piece.begin)
        return found

    def _bought(self, moment: datetime | None) -> dict[str, timedelta]:
        """Return the time that each buyer put on the meter before a moment; None: in all."""
        found = dict(self._sums.bought)
        for line in self._lines:
            if adds_time(line) and (moment is None or line.at < moment):
                found[line.who] = found.get(line.who, ZERO) + line.amount
        return found

    def _lived(self, on: Sequence[Interval]) -> dict[Price, timedelta] | None:
        """Return the time on since the endpoint was last left stopped."""
        stops = [index for index, line in enumerate(self._lines) if leaves_stopped(line)]
        if stops:
            begin = self._lines[stops[-1]].at
            if not run_spans(self._lines[stops[-1] + 1 :]):
                return None
            on = [piece for piece in on if piece.begin >= begin]
            lived: Times = {}
        elif self._sums.lived is not None:
            lived = self._sums.lived
        elif not self._replay.spans:
            return None
        else:
            lived = {}
        return _added(lived, ((piece.price, piece) for piece in on))


def adds_time(line: Entry) -> bool:
    """Return whether an entry put time on the meter that its `who` bought."""
    return line.kind in {Kind.TOP_UP, Kind.EDIT} and line.amount > ZERO


def spacing(standing: Standing | None) -> int:
    """Return the number of lines from a mark with this standing to the next."""
    buyers = 0 if standing is None else len(standing.queue)
    return max(EVERY, buyers // _BUYERS_A_LINE)


def is_due(number: int, newest: Mark | None) -> bool:
    """Return whether the commit of this line replays the lines since the newest mark."""
    gap = number - (0 if newest is None else newest.number)
    return number % EVERY == 0 and EVERY <= gap <= _CATCH_UP


def next_mark(newest: Mark | None, lines: Sequence[Entry]) -> Mark | None:
    """Return the mark after these lines, which are all since the newest one; None: none yet."""
    return Segment(newest, lines, None).mark()


def _added(
    sums: Mapping[_Key, timedelta], pieces: Iterable[tuple[_Key, Interval]]
) -> dict[_Key, timedelta]:
    found = dict(sums)
    for key, piece in pieces:
        found[key] = found.get(key, ZERO) + (piece.end - piece.begin)
    return found
