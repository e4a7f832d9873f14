"""How many requests were let in to an endpoint, by slots of time. Pure.

The longer a period, the longer its slots: a month by the minute is more than anybody can see.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEPT = timedelta(days=31)
"""So long they are known: a month, as people look at it, whatever its length."""

_SLOTS = (
    (timedelta(days=1), _MINUTE),
    (timedelta(days=7), timedelta(minutes=5)),
)
"""Up to which length of a period there are which slots: at most some two thousand."""

_LONGEST_SLOT = timedelta(hours=1)

_BY_THE_MINUTE = timedelta(days=14)
"""CloudWatch keeps minutes for a day more, and five minutes for weeks (its documentation)."""


@dataclass(frozen=True, slots=True)
class Count:
    """Requests that were let in during the slot that begins `at`; refused ones are none."""

    at: datetime
    count: int


def slot_of(begin: datetime, end: datetime, now: datetime) -> timedelta:
    """How long the slots of a period are: no shorter than what is kept of its age."""
    length = max(end - begin, now - begin - _BY_THE_MINUTE)
    return next((slot for longest, slot in _SLOTS if length <= longest), _LONGEST_SLOT)


def slot_at(moment: datetime, slot: timedelta) -> datetime:
    """When the slot began that holds this moment."""
    return moment - (moment - _EPOCH) % slot


def in_slots(counts: Iterable[Count], slot: timedelta) -> list[Count]:
    """The same requests by longer slots, oldest first; only slots that brought any."""
    summed: Counter[datetime] = Counter()
    for one in counts:
        summed[slot_at(one.at, slot)] += one.count
    return [Count(at, count) for at, count in sorted(summed.items()) if count]
