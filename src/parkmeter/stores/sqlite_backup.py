"""Copies of the local store: made while it is used, checked, and put back.

SQLite makes the copy from one moment's view of the file, so that writers wait for nothing and the
copy has every change that was committed before it began. `backup_files` has the names.
"""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from parkmeter.core.audit import Action, Record
from parkmeter.core.journal import OPERATOR
from parkmeter.errors import ParkmeterError
from parkmeter.stores.backup_files import folder_of, upgrade_name
from parkmeter.stores.sqlite_access import append_record
from parkmeter.stores.sqlite_file import SCHEMA, SqliteFile
from parkmeter.stores.store_faults import damage_in

_BUSY_SECONDS = 10.0

_VERSIONS_AHEAD = 1_000_000
"""Added at least to the versions of restored meters. A leash that still runs ignores deadlines of a
lower version than the last it had, which a backup's would be."""


class BackupError(ParkmeterError):
    """Raised when a backup cannot be made or put back; nothing was changed."""

    code = "backup_failed"
    title = "The backup failed"


def back_up(store: Path, target: Path) -> int:
    """Copy a store, used or not, to a file of mode 0600, in one piece; return its size in bytes.

    Raises:
        BackupError: there is no store, it is damaged, or the file cannot be written.

    """
    if not store.is_file():
        raise BackupError(f"There is no store in {store.parent}; nothing to back up.")
    if target.exists() and target.samefile(store):
        raise BackupError(f"{target} is the store itself. Name another file.")
    new = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _copy(store, new)
        new.replace(target)
        return target.stat().st_size
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise BackupError(f"{store} could not be copied to {target}: {_why(error)}.") from error


def copy_before_upgrade(store: Path) -> Path | None:
    """Keep a copy of a store of an older schema, before it is migrated; return the copy, if any.

    One is kept for each schema, that of the last upgrade. Raises BackupError as `back_up` does.
    """
    if not store.is_file():
        return None
    schema = _schema_of(store)
    target = folder_of(store) / upgrade_name(schema)
    if not 0 < schema < SCHEMA:
        return None
    back_up(store, target)
    return target


def restore(backup: Path, store: Path, now: datetime) -> Path | None:
    """Put a backup in the place of a store that no gateway uses; return where that one is kept.

    Call with the state folder locked.

    Raises:
        BackupError: the file is no backup of parkmeter's, is damaged, or is of a newer version;
            nothing was changed.

    """
    new = store.with_name(f".{store.name}.new")
    try:
        _check(backup)
        _copy(backup, new)
        _prepare(new, backup, now)
        return _swap(new, store, now)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{backup} could not be restored: {_why(error)}.") from error
    finally:
        for file in _with_companions(new):
            file.unlink(missing_ok=True)


# ── Copying ─────────────────────────────────────────────────────────────────────────────────────


def _copy(source: Path, target: Path) -> None:
    """Copy a database into a new file, check the copy, and have it on the disk."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with (
        closing(_opened(source)) as original,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        original.backup(copy)  # in one step, which holds one view of the original
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without companions
        if damage := damage_in(copy, "quick_check(3)"):
            raise sqlite3.DatabaseError(f"it is damaged ({damage})")
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _opened(file: Path) -> sqlite3.Connection:
    """Return a connection to a file that must exist."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)


def _schema_of(file: Path) -> int:
    try:
        with closing(_opened(file)) as connection:
            schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return schema
    except sqlite3.Error as error:
        raise BackupError(f"{file} cannot be read: {_why(error)}.") from error


def _why(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# ── Putting back ────────────────────────────────────────────────────────────────────────────────


def _check(backup: Path) -> None:
    """Raise BackupError unless the file is a store that this version can use."""
    if not backup.is_file():
        raise BackupError(f"There is no file {backup}.")
    with closing(_opened(backup)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        query = "SELECT count(*) FROM sqlite_master WHERE name IN ('meters', 'tokens')"
        (tables,) = connection.execute(query).fetchone()
    if schema > SCHEMA:
        raise BackupError(
            f"{backup} was made by a newer parkmeter (schema {schema}, this one knows {SCHEMA}). "
            "Upgrade parkmeter first. Nothing was changed."
        )
    if not schema or tables != 2:  # noqa: PLR2004 (the two named above)
        raise BackupError(f"{backup} is no backup of parkmeter's store. Nothing was changed.")


def _prepare(new: Path, backup: Path, now: datetime) -> None:
    """Migrate a copy, raise the versions of its meters, and record where it comes from."""
    file = SqliteFile(new)
    record = Record(now, Action.RESTORED, OPERATOR, f"from {backup.name}")

    # The time, or the same backup put back twice would give the same versions twice.
    least = int(now.timestamp() * 1000)

    def change(connection: sqlite3.Connection) -> None:
        query = "UPDATE meters SET version = max(version + ?, ?)"
        connection.execute(query, (_VERSIONS_AHEAD, least))
        append_record(connection, record)

    try:
        file.write(change)
    finally:
        file.close()
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _swap(new: Path, store: Path, now: datetime) -> Path | None:
    """Replace the store; return where the previous one is kept, which can be opened like it."""
    kept = store.with_name(f"{store.name}.before-{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}")
    if not store.exists():
        new.replace(store)
        return None
    # Into the file itself, so that nothing is missing if this ends between two steps.
    with suppress(sqlite3.Error), closing(_opened(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for companion, suffix in zip(_with_companions(store)[1:], ("-wal", "-shm"), strict=True):
        if companion.exists():
            companion.replace(kept.with_name(kept.name + suffix))
    # A second name first, so that at no moment there is no store: a gateway would start empty.
    try:
        kept.hardlink_to(store)
    except OSError:  # a file system without hard links
        shutil.copy2(store, kept)
    new.replace(store)
    return kept


def _with_companions(file: Path) -> list[Path]:
    """Return a database and the two files that SQLite may have beside it."""
    return [file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))]
