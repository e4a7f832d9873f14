"""The upkeep of journals, a bounded piece with each sweep: marks that are missing, old lines.

Commits mark journals as they grow. A journal of an older version has no marks yet, and some may be
missing where a clock was set back: they are made here, from the lines. Where lines older than
`kept` are to go, the sums of each of their days (UTC) are marked first.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from parkmeter.core.journal import Entry
from parkmeter.core.journal_reader import lines_between, position
from parkmeter.core.ledger import EVERY, Mark, next_mark, spacing
from parkmeter.core.meter import NEVER
from parkmeter.ports import Store

log = logging.getLogger(__name__)

LINES_A_SWEEP = 20_000
"""About half a second of work, once a minute."""

SHORTEST_KEPT = timedelta(days=400)
"""Thirteen months, which is also far longer than an idempotency key or an extend link is valid."""

_MOST_WAITING = 500_000
"""Lines in memory at most, while a clock that was set back has not caught up."""

_BEHIND = 2
"""Marks that may be missing at the end before the lines are read again here."""

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_DAYS_AT_ONCE = 40
_FORGET_AT_ONCE = 500
_TIMES = 10


class Shortened(Protocol):
    """A store whose old lines may go."""

    def close_days(self, name: str, days: list[Mark], base: Mark) -> bool:
        """Replace the marks before `base` by those of `days`, and keep these and `base` for good.

        From then on no line up to the base's number is read for a sum. Returns False, and changes
        nothing, if the base is gone.
        """

    def forget(self, name: str, upto: int, limit: int) -> int:
        """Delete the first `limit` lines up to a number; return how many.

        Those that a follower of the outbox has not passed stay.
        """


class JournalKeeper:
    """The upkeep of one store's journals. For one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, Iterator[int]] = {}
        self._read_up_to: dict[str, int] = {}
        """Numbers of last lines: what cannot be marked is not read again with every call."""

    def tend(self, name: str, lines: int = LINES_A_SWEEP) -> int:
        """Read at most about `lines` lines to mark a journal; return how many were read.

        Continues where the last call ended.
        """
        work = self._running.pop(name, None) or self._marking(name)
        read = 0
        for page in work:
            read += page
            if read >= lines:
                self._running[name] = work
                break
        return read

    def shorten(self, store: Shortened, name: str, kept: timedelta, now: datetime) -> int:
        """Delete a bounded number of lines older than `kept`; return how many.

        The journal's last lines and those of the last `SHORTEST_KEPT` stay in any case.
        """
        cutoff = now - max(kept, SHORTEST_KEPT)
        base, _ = self._store.marks(name, cutoff)
        if base is not None and not base.lasting:
            base = self._close_days(store, name, base)
        if base is None or base.standing is None:
            return 0
        gone = 0
        for _ in range(_TIMES):
            found = store.forget(name, base.number, _FORGET_AT_ONCE)
            gone += found
            if found < _FORGET_AT_ONCE:
                break
        return gone

    # ── Inside ──────────────────────────────────────────────────────────────────────────────────

    def _close_days(self, store: Shortened, name: str, base: Mark) -> Mark | None:
        """Mark the days up to a base, or an earlier one if they are many.

        Returns the one that now stands for the lines before it, None if there is none.
        """
        last_day = self._last_day(name, base)
        since = base.origin if last_day is None else last_day.at
        midnight = (since.astimezone(UTC) + _DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        days: list[Mark] = []
        while midnight <= base.at and len(days) < _DAYS_AT_ONCE:
            days.append(self._day(name, since, midnight, base))
            since, midnight = midnight, midnight + _DAY
        if midnight <= base.at:  # not all at once: up to the last of these days
            earlier, _ = self._store.marks(name, since)
            if earlier is None or earlier.standing is None or earlier.lasting:
                return None
            base = earlier
            days = [day for day in days if day.at <= base.at]
        if not days:
            return None
        # The runs that ended before its own day are those of the days.
        runs = tuple(run for run in base.runs if run.span.ended and run.span.ended > days[-1].at)
        base = replace(base, lasting=True, runs=runs)
        return base if store.close_days(name, days, base) else None

    def _day(self, name: str, since: datetime, end: datetime, base: Mark) -> Mark:
        """Return the mark of the day that ends then."""
        found = position(self._store, name, end, None)
        ended = [*self._store.past_runs(name, since, end), *found.ended]
        runs = [one for one in ended if one.span.ended is not None and one.span.ended > since]
        return Mark(
            number=0,
            at=end,
            origin=base.origin,
            sums=found.sums,
            standing=None,
            run=found.run,
            runs=tuple(runs),
            lasting=True,
        )

    def _last_day(self, name: str, base: Mark) -> Mark | None:
        """Return the mark of the last day whose lines are gone."""
        _, first = self._store.marks(name, base.origin)
        if first is None or first.standing is not None:
            return None
        last, end = first, base.at
        while end - last.at > _DAY:  # by halves, as days come before all other marks
            middle = last.at + (end - last.at) / 2
            _, after = self._store.marks(name, middle)
            if after is not None and after.standing is None:
                last = after
            else:
                end = middle
        _, after = self._store.marks(name, last.at + _INSTANT)
        return after if after is not None and after.standing is None else last

    def _marking(self, name: str) -> Iterator[int]:
        """Mark a journal up to its end; yields the lines of each page that was read."""
        newest, _ = self._store.marks(name, None)
        if not self._is_behind(name, newest):
            return
        marks = [] if newest is None else [newest]
        waiting: list[Entry] = []
        number = 0 if newest is None else newest.number
        latest = NEVER
        while True:
            page = lines_between(self._store, name, number, number + EVERY)
            if not page:
                # Only complete, or a line that was not read yet might undo one of them.
                added = [mark for mark in marks if mark is not newest]
                if added and not self._store.add_marks(name, added, number):
                    yield 1
                    continue
                self._read_up_to[name] = number
                log.info("%s: %d marks made for its journal", name, len(added))
                return
            yield len(page)
            number = page[-1].number
            latest = max(latest, *(line.at for line in page))
            earliest = min(line.at for line in page)
            if marks and earliest < marks[-1].at and not marks[-1].lasting:
                while marks and earliest < marks[-1].at and not marks[-1].lasting:
                    marks.pop()
                first = marks[-1].number if marks else 0
                waiting = lines_between(self._store, name, first, number)
                yield len(waiting)
            else:
                waiting += page
            before = marks[-1] if marks else None
            if len(waiting) > _MOST_WAITING:
                self._read_up_to[name] = number + _MOST_WAITING
                log.warning("%s: its journal cannot be marked: the clock was set back", name)
                return
            caught_up = page[-1].at >= latest
            if caught_up and len(waiting) >= spacing(None if before is None else before.standing):
                mark = next_mark(before, waiting)
                if mark is not None:
                    marks.append(mark)
                    waiting = []

    def _is_behind(self, name: str, newest: Mark | None) -> bool:
        last = self._store.journal(name, 1)
        if not last:
            return False
        marked = 0 if newest is None else newest.number
        missing = last[0].number - max(marked, self._read_up_to.get(name, 0))
        return missing >= _BEHIND * spacing(None if newest is None else newest.standing)
