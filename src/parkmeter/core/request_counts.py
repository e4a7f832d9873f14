"""Requests admitted to an endpoint, by slots of time. Pure.

The longer a period, the longer its slots: a month by the minute is more than a chart can show.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEPT = timedelta(days=31)
"""The time for which counts are kept: the longest month."""

_SLOTS = (
    (timedelta(days=1), _MINUTE),
    (timedelta(days=7), timedelta(minutes=5)),
)
"""Longest periods and their slots: at most about two thousand in each."""

_LONGEST_SLOT = timedelta(hours=1)

_BY_THE_MINUTE = timedelta(days=14)
"""CloudWatch keeps minutes for a day more, and five minutes for weeks (its documentation)."""


@dataclass(frozen=True, slots=True)
class Count:
    """Requests admitted during the slot that begins `at`; refused ones do not count."""

    at: datetime
    count: int


def slot_of(begin: datetime, end: datetime, now: datetime) -> timedelta:
    """Return the length of a period's slots: no shorter than is kept for its age."""
    length = max(end - begin, now - begin - _BY_THE_MINUTE)
    return next((slot for longest, slot in _SLOTS if length <= longest), _LONGEST_SLOT)


def slot_at(moment: datetime, slot: timedelta) -> datetime:
    """Return the begin of the slot that contains this moment."""
    return moment - (moment - _EPOCH) % slot


def in_slots(counts: Iterable[Count], slot: timedelta) -> list[Count]:
    """Sum counts into longer slots, oldest first; only slots with any."""
    summed: Counter[datetime] = Counter()
    for one in counts:
        summed[slot_at(one.at, slot)] += one.count
    return [Count(at, count) for at, count in sorted(summed.items()) if count]
