"""The history of the status shown: intervals of one status each, from the journal. Pure.

Every entry has the status that it left behind, and the time then left on the meter. An end may be
noticed late, so an entry may be of an earlier moment than the one before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import NEVER, ZERO, Status

_AFTER_THE_CLOSE = {
    Status.RUNNING: (Status.STOPPING, "time used up"),
    Status.FAILED: (Status.STOPPED, "time used up"),
}
"""The status that follows at the close without an entry: a serving endpoint is stopped, of a failed
one nothing is left. The end of a start's credit is not in its entry."""


@dataclass(frozen=True, slots=True)
class StatusInterval:
    """The `status` shown from `begin` to `end`; `reason`: why it became that."""

    status: Status
    begin: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Showing:
    """The status shown `since` some line, why, and when its meter closes as of that line."""

    since: datetime = NEVER
    status: Status = Status.STOPPED
    reason: str = ""
    closes: datetime = NEVER


NOT_YET = Showing()
"""Before the first line."""


def left_showing(before: Showing, line: Entry) -> Showing:
    """Return what a line leaves shown, after what was shown before it."""
    if not line.status:
        return before
    # With time on the meter it is about to start, but not while the gateway is off.
    status = Status.STOPPED if line.kind is Kind.STOP else Status(line.status)
    return Showing(max(line.at, before.since), status, line.why, line.at + line.left)


def status_intervals(
    lines: Iterable[Entry], begin: datetime, end: datetime, before: Showing = NOT_YET
) -> list[StatusInterval]:
    """Return the intervals from `begin` to `end` without a gap; neighbours differ in status.

    `lines`: from the last one before `begin` on, or from the one that left `before`.
    """
    found: list[StatusInterval] = []
    for interval in _whole(lines, end, before):
        cut = replace(interval, begin=max(interval.begin, begin), end=min(interval.end, end))
        if cut.begin >= cut.end:
            continue
        if found and found[-1].status is cut.status:
            found[-1] = replace(found[-1], end=cut.end)
        else:
            found.append(cut)
    return found


def _whole(lines: Iterable[Entry], end: datetime, showing: Showing) -> Iterator[StatusInterval]:
    """Yield the interval of every entry up to `end`, the first one from what was shown before.

    Where entries of one status follow each other, each begins an interval.
    """
    for line in lines:
        after = left_showing(showing, line)
        if line.status:
            yield from _until(showing, after.since)
        showing = after
    yield from _until(showing, max(showing.since, end))


def _until(showing: Showing, end: datetime) -> Iterator[StatusInterval]:
    """Yield an interval, in two if the meter closed in it."""
    interval = StatusInterval(showing.status, showing.since, end, showing.reason)
    after, closes = _AFTER_THE_CLOSE.get(interval.status), showing.closes
    if after is None or closes >= interval.end:
        yield interval
        return
    closes = max(closes, interval.begin)
    yield replace(interval, end=closes)
    yield StatusInterval(after[0], closes, interval.end, after[1])


def top_ups(lines: Iterable[Entry], begin: datetime, end: datetime) -> list[Entry]:
    """Return the entries that added time from `begin` on and before `end`."""
    return [
        line
        for line in lines
        if line.kind in {Kind.TOP_UP, Kind.EDIT} and line.amount > ZERO and begin <= line.at < end
    ]
