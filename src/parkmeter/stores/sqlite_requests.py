"""Counts of requests and of what their answers used, per minute, in the local gateway's store.

Minutes are numbers since 1970.
"""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from parkmeter.core.request_counts import KEPT, Count
from parkmeter.core.usage import Used, UsedAt
from parkmeter.stores.sqlite_file import SqliteFile

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ADD_USED = (
    "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " answers = answers + excluded.answers, unknown = unknown + excluded.unknown,"
    " input = input + excluded.input, output = output + excluded.output"
)
_OLD_DAYS = (
    "SELECT endpoint, minute / 1440 * 1440 AS day, who,"
    " sum(answers), sum(unknown), sum(input), sum(output)"
    " FROM usage WHERE minute <= ? AND minute % 1440 <> 0 GROUP BY endpoint, day, who"
)
"""Usage of old minutes goes into that of their day (UTC), which is kept as its first minute."""
_DROP_OLD = "DELETE FROM usage WHERE minute <= ? AND minute % 1440 <> 0"

_USED_BY = (
    "SELECT who, sum(answers), sum(unknown), sum(input), sum(output) FROM usage"
    " WHERE endpoint = ? AND minute >= ? AND minute < ? GROUP BY who"
)
_USED_AT = (
    "SELECT minute / ?1 * ?1 AS slot, sum(answers), sum(unknown), sum(input), sum(output)"
    " FROM usage WHERE endpoint = ?2 AND minute >= ?3 AND minute < ?4 GROUP BY slot ORDER BY slot"
)


class SqliteRequests:
    """Implements `ports.RequestBook`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def add(
        self, minute: datetime, counts: Mapping[str, int], used: Mapping[tuple[str, str], Used]
    ) -> None:
        """See `ports.RequestBook`."""
        number = _first_from(minute)
        last_old = number - KEPT // _MINUTE
        rows = [(name, number, count) for name, count in counts.items()]
        uses = [
            (name, number, who, one.answers, one.unknown, one.input, one.output)
            for (name, who), one in used.items()
        ]

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM requests WHERE minute <= ?", (last_old,))
            connection.executemany(
                "INSERT INTO requests (endpoint, minute, count) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET count = count + excluded.count",
                rows,
            )
            days = connection.execute(_OLD_DAYS, (last_old,)).fetchall()
            connection.execute(_DROP_OLD, (last_old,))
            connection.executemany(_ADD_USED, [*days, *uses])

        self._file.write(change)

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[Count]:
        """See `ports.RequestBook`."""
        minutes = slot // _MINUTE
        rows = self._file.all(
            "SELECT minute / ?1 * ?1 AS slot, sum(count) FROM requests"
            " WHERE endpoint = ?2 AND minute >= ?3 AND minute < ?4 GROUP BY slot ORDER BY slot",
            minutes,
            name,
            _first_from(begin),
            _first_from(end),
        )
        return [Count(_EPOCH + number * _MINUTE, count) for number, count in rows]

    def used_by(self, name: str, begin: datetime, end: datetime) -> dict[str, Used]:
        """See `ports.RequestBook`."""
        rows = self._file.all(_USED_BY, name, _first_from(begin), _first_from(end))
        return {who: Used(*numbers) for who, *numbers in rows}

    def used_at(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> list[UsedAt]:
        """See `ports.RequestBook`."""
        period = _first_from(begin), _first_from(end)
        rows = self._file.all(_USED_AT, slot // _MINUTE, name, *period)
        return [UsedAt(_EPOCH + number * _MINUTE, Used(*numbers)) for number, *numbers in rows]

    def since(self) -> datetime:
        """See `ports.RequestBook`."""
        minute: int = self._file.one("SELECT min(minute) FROM usage_since")[0]
        return _EPOCH + minute * _MINUTE


def _first_from(moment: datetime) -> int:
    """Return the first minute that begins at this moment or later."""
    return -((_EPOCH - moment) // _MINUTE)
