"""Opening hours: "Mon-Fri 09:00-17:00 Europe/London" parsed into windows of time. Pure.

Windows are in UTC and never overlap: texts that overlap or touch make one window. A window belongs
to the day on which it begins, in its own zone. When clocks are put forward, a begin or end in the
gap moves to the first moment after it; when they are put back, the first of the two equal times
begins a window and the last ends it. Knows no meters.
"""

import re
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = "Mon-Fri 09:00-17:00 Europe/London"
LOOKS_LIKE = r"^\s*[A-Za-z,-]+\s+\d\d:\d\d-\d\d:\d\d\s+[A-Za-z0-9_+/-]+\s*$"
"""For editors: the form of a text, not its validity."""

LONGEST = timedelta(days=7)
"""The longest window. A longer one would leave no moment of the week without cost."""

_DAY = timedelta(days=1)
_TICK = timedelta(seconds=1)
_BACK = LONGEST + 2 * _DAY
"""The furthest before a moment that a window around it can begin, in any zone."""
_AHEAD = timedelta(days=15) + LONGEST
"""The next window begins within 8 days, or 15 if the gap of a clock change swallows one."""
_SOME_MONDAY = date(2026, 1, 5)
_FORTNIGHT = 2 * 7
"""Days that contain every window of a week whole."""
_YEAR = 53 * 7
"""Days that contain every clock change: a zone's are on the same weekday each year."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `begin` to `end`, which is not in it; both UTC."""

    begin: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.begin <= moment < self.end

    @property
    def length(self) -> timedelta:
        """Return the real time, whatever local clocks showed."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class _Weekly:
    """One text: on these weekdays (Monday is 0), between these minutes of the day, local time.

    `end` is greater than a day's minutes where the window ends on the day after.
    """

    days: frozenset[int]
    begin: int
    end: int
    zone: ZoneInfo

    def on(self, day: date) -> Window | None:
        """Return the window that begins on a day, if a clock change leaves any of it."""
        if day.weekday() not in self.days:
            return None
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (local; its zone follows)
        begin = _moment(midnight + timedelta(minutes=self.begin), self.zone, fold=0)
        end = _moment(midnight + timedelta(minutes=self.end), self.zone, fold=1)
        return Window(begin, end) if begin < end else None


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of an endpoint, as written and as windows."""

    texts: tuple[str, ...]
    weekly: tuple[_Weekly, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Parse one or more texts.

        Raises:
            ValueError: names the text, its mistake, and a valid example.

        """
        if not texts:
            raise ValueError(f'must not be empty: "{EXAMPLE}"')
        hours = cls(tuple(" ".join(text.split()) for text in texts), tuple(map(_weekly, texts)))
        # No year here: on AWS this is parsed every minute, for hundreds of endpoints.
        if hours._longest(_FORTNIGHT) > LONGEST:
            raise ValueError("leaves no gap in the week; without hours, top up as needed")
        return hours

    @property
    def text(self) -> str:
        """Return all texts on one line."""
        return "; ".join(self.texts)

    def local(self, moment: datetime) -> str:
        """Return day and time in the first text's zone, such as `Fri 17:00`."""
        there = moment.astimezone(self.weekly[0].zone)
        return f"{DAYS[there.weekday()]} {there:%H:%M}"

    @property
    def zone(self) -> str:
        """Return the name of the first text's zone, such as `Europe/London`."""
        return str(self.weekly[0].zone)

    @property
    def longest(self) -> timedelta:
        """Return the longest window of a year in real time: clocks put back add an hour."""
        return self._longest(_YEAR)

    def _longest(self, days: int) -> timedelta:
        return max(window.length for window in self.within(_SOME_MONDAY, days + 1))

    def window(self, now: datetime) -> Window | None:
        """Return the window that contains `now`."""
        around = _around(self, now.astimezone(UTC).date())
        return next((window for window in around if now in window), None)

    def next_window(self, now: datetime) -> Window:
        """Return the first window that begins after `now`."""
        around = _around(self, now.astimezone(UTC).date())
        return next(window for window in around if window.begin > now)

    def within(self, first: date, days: int) -> list[Window]:
        """Return the windows that begin on these days of each text's own zone, in order.

        Of several zones' windows some near either end of the period may be missing: there it is
        the day before, or after.
        """
        found = (
            window
            for one in self.weekly
            for ahead in range(days)
            if (window := one.on(first + ahead * _DAY)) is not None
        )
        return list(_joined(sorted(found, key=lambda window: window.begin)))


@lru_cache(maxsize=1024)
def _around(hours: Hours, day: date) -> tuple[Window, ...]:
    """Return the windows that could contain a moment of this day (UTC), and the next ones."""
    return tuple(hours.within(day - _BACK, (_BACK + _AHEAD).days))


def _joined(windows: Iterable[Window]) -> Iterator[Window]:
    """Join windows, ordered by their begin, that overlap or touch."""
    present: Window | None = None
    for window in windows:
        if present is None:
            present = window
        elif window.begin <= present.end:
            present = Window(present.begin, max(present.end, window.end))
        else:
            yield present
            present = window
    if present is not None:
        yield present


def _moment(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """Return a local time in UTC; for one in a gap, the first moment after the gap."""
    moment = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # The two readings of a time in a gap lie on either side of the change.
    readings = (local.replace(tzinfo=zone, fold=either).astimezone(UTC) for either in (0, 1))
    before, after = sorted(readings)
    offset = after.astimezone(zone).utcoffset()
    while after - before > _TICK:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


# ── Parsing ─────────────────────────────────────────────────────────────────────────────────────


def _weekly(text: str) -> _Weekly:
    days, _, rest = " ".join(text.split()).partition(" ")
    times, _, zone = rest.partition(" ")
    try:
        return _Weekly(_days(days), *_times(times), _zone(zone))
    except ValueError as error:
        raise ValueError(f'"{text}": {error}; write it like "{EXAMPLE}"') from None


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found.update((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))
    return frozenset(found)


def _day(text: str) -> int:
    if text.capitalize() not in DAYS:
        raise ValueError(f"{text!r} is not a day; days are {', '.join(DAYS)}")
    return DAYS.index(text.capitalize())


def _times(text: str) -> tuple[int, int]:
    """Return begin and end as minutes of the day on which the window begins."""
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError(f"{text!r} is not a time range such as 09:00-17:00")
    begin, end = _minute(first), _minute(last)
    if begin == _minute("24:00"):
        raise ValueError("24:00 can only be an end; a day begins at 00:00")
    if begin == end:
        raise ValueError(f"{text} ends when it begins; a whole day is 00:00-24:00")
    return begin, end if begin < end else end + _minute("24:00")


def _minute(text: str) -> int:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time of day from 00:00 to 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _zone(name: str) -> ZoneInfo:
    if not name:
        raise ValueError("the time zone is missing, for example UTC or Europe/London")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # an OSError for the name of a folder, such as Europe
        import difflib  # noqa: PLC0415 (only a mistake waits for it)

        near = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{name!r} is not a known time zone{meant}") from None
