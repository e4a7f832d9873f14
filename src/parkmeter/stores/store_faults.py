"""The faults after which the local store takes no further change. Each says what to do next."""

import sqlite3

from parkmeter.errors import StoreBusyError

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreDamagedError(StoreBusyError):
    """Raised when the store's file is damaged; the change was not made."""

    code = "store_damaged"
    title = "The store is damaged"
    text = (
        "The file in which this gateway keeps its meters is damaged, so it takes no change. "
        "Nothing was changed. Its operator stops the gateway and restores a backup (`parkmeter "
        "restore`); its log says which. Running endpoints stop at their deadlines."
    )
    retry_after = None


class StateLostError(StoreBusyError):
    """Raised when the state folder, its lock or its store was removed or replaced meanwhile."""

    code = "state_lost"
    title = "The state folder is gone"
    text = (
        "The state folder of this gateway was removed or replaced while it ran, so nothing can be "
        "kept in it. Nothing was changed. The gateway ends; start it again, and repeat the request."
    )
    retry_after = None


def is_damage(error: Exception) -> bool:
    """Return whether an error of SQLite says that its file is damaged, or not its own."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    # Extended codes have the primary one in their lowest byte.
    return isinstance(error, sqlite3.DatabaseError) and code & 0xFF in _DAMAGE


def damage_in(connection: sqlite3.Connection, check: str) -> str:
    """Return what a check such as `quick_check(3)` finds, in one line; empty if all is well."""
    rows = connection.execute(f"PRAGMA {check}").fetchall()
    lines = [line for (text,) in rows for line in text.splitlines()]
    return "; ".join([line for line in lines if line != "ok" and not line.startswith("***")][:3])
