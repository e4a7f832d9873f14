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


def status_intervals(
    lines: Iterable[Entry], begin: datetime, end: datetime
) -> list[StatusInterval]:
    """Return the intervals from `begin` to `end` without a gap; neighbours differ in status.

    `lines`: as from `journal_reader.lines_of` for `begin`.
    """
    found: list[StatusInterval] = []
    for interval in _whole(lines, end):
        cut = replace(interval, begin=max(interval.begin, begin), end=min(interval.end, end))
        if cut.begin >= cut.end:
            continue
        if found and found[-1].status is cut.status:
            found[-1] = replace(found[-1], end=cut.end)
        else:
            found.append(cut)
    return found


def _whole(lines: Iterable[Entry], end: datetime) -> Iterator[StatusInterval]:
    """Yield the interval of every entry up to `end`, the first one from the beginning of time.

    Where entries of one status follow each other, each begins an interval.
    """
    since, status, reason, closes = NEVER, Status.STOPPED, "", NEVER
    for line in lines:
        at = max(line.at, since)
        if not line.status:
            continue
        yield from _until(StatusInterval(status, since, at, reason), closes)
        since, status, reason, closes = at, _left_behind(line), line.why, line.at + line.left
    yield from _until(StatusInterval(status, since, max(since, end), reason), closes)


def _left_behind(line: Entry) -> Status:
    # With time on the meter it is about to start, but not while the gateway is off.
    return Status.STOPPED if line.kind is Kind.STOP else Status(line.status)


def _until(interval: StatusInterval, closes: datetime) -> Iterator[StatusInterval]:
    """Yield an interval, in two if the meter closed in it."""
    after = _AFTER_THE_CLOSE.get(interval.status)
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
