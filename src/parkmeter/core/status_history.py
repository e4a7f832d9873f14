"""The journal as what people were shown: stretches of one status each, with its reason. Pure.

Every line says the status that it left behind, and until when the meter then held time. An end
may be noticed late, so a line may tell of an earlier moment than the line before it.
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
"""What follows at the close without a line: a serving endpoint is stopped, of a failed one nothing
is left. How long a start may still take cannot be told from its line."""


@dataclass(frozen=True, slots=True)
class StatusInterval:
    """From `begin` to `end` an endpoint was shown as `status`; `reason`: why it came to that."""

    status: Status
    begin: datetime
    end: datetime
    reason: str


def statuses(lines: Iterable[Entry], begin: datetime, end: datetime) -> list[StatusInterval]:
    """The time from `begin` to `end` without a gap; neighbours differ in their status.

    `lines`: as `history.lines_of` gives them for `begin`.
    """
    found: list[StatusInterval] = []
    for stretch in _whole(lines, end):
        cut = replace(stretch, begin=max(stretch.begin, begin), end=min(stretch.end, end))
        if cut.begin >= cut.end:
            continue
        if found and found[-1].status is cut.status:
            found[-1] = replace(found[-1], end=cut.end)
        else:
            found.append(cut)
    return found


def _whole(lines: Iterable[Entry], end: datetime) -> Iterator[StatusInterval]:
    """Every stretch that the lines tell of, up to `end`, the first one from the beginning of time.

    Where lines of one status follow each other, each begins a stretch.
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
    # With time on the meter it is about to start, but nobody starts it while the gateway is off.
    return Status.STOPPED if line.kind is Kind.STOP else Status(line.status)


def _until(stretch: StatusInterval, closes: datetime) -> Iterator[StatusInterval]:
    """A stretch, in two if the meter closed in it."""
    after = _AFTER_THE_CLOSE.get(stretch.status)
    if after is None or closes >= stretch.end:
        yield stretch
        return
    closes = max(closes, stretch.begin)
    yield replace(stretch, end=closes)
    yield StatusInterval(after[0], closes, stretch.end, after[1])


def top_ups(lines: Iterable[Entry], begin: datetime, end: datetime) -> list[Entry]:
    """The lines that added time from `begin` on and before `end`."""
    return [
        line
        for line in lines
        if line.kind in {Kind.TOP_UP, Kind.EDIT} and line.amount > ZERO and begin <= line.at < end
    ]
