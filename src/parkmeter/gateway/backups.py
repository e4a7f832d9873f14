"""A backup of the store each day, made while the gateway works; the newest few are kept."""

import logging
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from parkmeter.stores.backup_files import daily_backups, daily_name, folder_of
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_backup import BackupError, back_up, copy_before_upgrade

log = logging.getLogger(__name__)

_FIRST_AFTER = 30.0
"""Seconds from the start: the first minute belongs to the endpoints."""

_EVERY = 600.0
"""Seconds between two looks at whether the day has one."""

_SPARE = 100_000_000
"""Bytes that stay free, so that no backup fills the disk that the store needs."""

_ENDS_WITHIN = 5.0


class DailyBackups:
    """Makes the backup of each day (UTC) on a thread of its own.

    `days` returns how many are kept; 0: none are made, and those that exist stay.
    """

    def __init__(self, store: Path, days: Callable[[], int], now: Callable[[], datetime]) -> None:
        self._store = store
        self._days = days
        self._now = now
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a backup that is being made gets a moment, and is abandoned then."""
        self._ending.set()
        self._thread.join(_ENDS_WITHIN)

    def make_due(self) -> Path | None:
        """Make today's backup if there is none, and remove those beyond the number kept.

        Returns the new one, None if nothing was due or it failed; then the log says why.
        """
        folder, days = folder_of(self._store), self._days()
        today = folder / daily_name(self._now())
        if days <= 0 or today.exists():
            return None
        try:
            size = sum(file.stat().st_size for file in self._store.parent.glob("*.sqlite*"))
            if shutil.disk_usage(self._store.parent).free < size + _SPARE:
                log.warning("no backup was made: too little room on the disk of %s", folder)
                return None
            back_up(self._store, today)
            for old in daily_backups(folder)[days:]:
                old.unlink()
        except (BackupError, OSError) as error:
            log.warning("the backup of the day failed; retrying: %s", error)
            return None
        return today

    def _run(self) -> None:
        wait = _FIRST_AFTER
        while not self._ending.wait(wait):
            try:
                self.make_due()
            except Exception:
                log.exception("the backup of the day failed; retrying")
            wait = _EVERY


def opened_store(store: Path) -> SqliteStore:
    """Open the store; one of an older version is copied before it is migrated."""
    try:
        copy = copy_before_upgrade(store)
    except BackupError as error:
        log.warning("the store is migrated without a copy of its older form: %s", error)
    else:
        if copy is not None:
            log.warning("the store is migrated; its older form is kept in %s", copy)
    return SqliteStore(store)
