"""Backups of the local store: their folder and names, the newest one, and how to restore it."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

FOLDER = "backups"
"""Name of the folder of backups, beside the store."""

_DAILY = re.compile(r"daily-\d{4}-\d\d-\d\d\.sqlite")


def folder_of(store: Path) -> Path:
    """Return the folder of a store's backups, which may not exist."""
    return store.parent / FOLDER


def daily_name(now: datetime) -> str:
    """Return the name of a day's backup (UTC)."""
    return f"daily-{now.astimezone(UTC):%Y-%m-%d}.sqlite"


def manual_name(now: datetime) -> str:
    """Return the name of a backup made on request, unique by the second."""
    return f"parkmeter-{now.astimezone(UTC):%Y-%m-%dT%H%M%SZ}.sqlite"


def upgrade_name(schema: int) -> str:
    """Return the name of the copy that is made before a file of this schema is migrated."""
    return f"schema-{schema}.sqlite"


def daily_backups(folder: Path) -> list[Path]:
    """Return the backups of a day each, newest first."""
    return sorted(
        (file for file in _files(folder) if _DAILY.fullmatch(file.name)),
        key=lambda file: file.name,
        reverse=True,
    )


def newest(folder: Path) -> Path | None:
    """Return the backup that was made last, of any kind; None without any."""
    return max(_files(folder), key=lambda file: file.stat().st_mtime, default=None)


def restore_advice(store: Path) -> str:
    """Return what to do about a damaged store, for its operator."""
    backup = newest(folder_of(store))
    if backup is None:
        return (
            "There is no backup of it. Keep a copy of the file, and try: sqlite3 FILE .recover | "
            "sqlite3 NEW. `parkmeter doctor` shows the damage; an empty state folder starts with "
            "closed meters."
        )
    made = datetime.fromtimestamp(backup.stat().st_mtime, UTC)
    return (
        f"Stop the gateway and restore the backup of {made:%Y-%m-%d %H:%M} UTC: parkmeter restore "
        f"{shlex.quote(str(backup))} --state {shlex.quote(str(store.parent))}. It keeps the "
        "damaged file beside the new one. Running endpoints stop at their deadlines."
    )


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.sqlite") if file.is_file() and not file.is_symlink()]
