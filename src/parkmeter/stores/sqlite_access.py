"""Tokens and the audit, in two tables of the local gateway's store."""

import sqlite3

from parkmeter.core.audit import Record
from parkmeter.core.tokens import Token
from parkmeter.stores.records import sortable, written
from parkmeter.stores.sqlite_file import SqliteFile
from parkmeter.stores.sqlite_rows import value_of


class SqliteAccess:
    """The part of `ports.Store` that is about tokens and the audit."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def tokens(self) -> list[Token]:
        """See `ports.Store`."""
        rows = self._file.all("SELECT body FROM tokens ORDER BY created_at, id")
        return [value_of(Token, body) for (body,) in rows]

    def put_token(self, token: Token, record: Record | None) -> None:
        """See `ports.Store`."""
        row = token.id, sortable(token.created_at), written(token)
        query = "INSERT OR REPLACE INTO tokens (id, created_at, body) VALUES (?, ?, ?)"

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(query, row)
            append_record(connection, record)

        self._file.write(change)

    def remove_token(self, token_id: str, record: Record | None) -> bool:
        """See `ports.Store`."""
        query = "DELETE FROM tokens WHERE id = ?"

        def change(connection: sqlite3.Connection) -> bool:
            removed = connection.execute(query, (token_id,)).rowcount == 1
            append_record(connection, record if removed else None)
            return removed

        return self._file.write(change)

    def note(self, record: Record) -> None:
        """See `ports.Store`."""
        self._file.write(lambda connection: append_record(connection, record))

    def audit(self, limit: int, before: int | None) -> list[Record]:
        """See `ports.Store`."""
        rows = self._file.all(
            "SELECT body, number FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?",
            (1 << 62) if before is None else before,
            limit,
        )
        return [value_of(Record, body, number=number) for body, number in rows]


def append_record(connection: sqlite3.Connection, record: Record | None) -> None:
    """Append a record to the audit, if there is one; in an open transaction."""
    if record is not None:
        connection.execute("INSERT INTO audit (body) VALUES (?)", (written(record),))
