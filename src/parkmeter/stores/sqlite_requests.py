"""Request counts per minute, in one table of the local gateway's store.

Minutes are numbers since 1970.
"""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from parkmeter.core.request_counts import KEPT, Count
from parkmeter.stores.sqlite_file import SqliteFile

_MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqliteRequests:
    """Implements `ports.RequestBook`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def add(self, minute: datetime, counts: Mapping[str, int]) -> None:
        """See `ports.RequestBook`."""
        number = _first_from(minute)
        rows = [(name, number, count) for name, count in counts.items()]

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM requests WHERE minute <= ?", (number - KEPT // _MINUTE,)
            )
            connection.executemany(
                "INSERT INTO requests (endpoint, minute, count) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET count = count + excluded.count",
                rows,
            )

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


def _first_from(moment: datetime) -> int:
    """Return the first minute that begins at this moment or later."""
    return -((_EPOCH - moment) // _MINUTE)
