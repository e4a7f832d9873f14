"""Ejects that the store could not record, in a small file that needs no room on the disk.

The file is made in time, larger than it has to be: on a full disk it is written over in place. If
it cannot be written at all, the ejects are in memory only.
"""

import logging
import threading
from pathlib import Path

from parkmeter.core.journal import Entry
from parkmeter.leash.files import read_json, write_json
from parkmeter.stores.records import UNREADABLE, read, written

log = logging.getLogger(__name__)

_ROOM = " " * 2048


class EjectFile:
    """Implements `ports.UnrecordedEjects` on one file. From any thread."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        self._entries = self._read()
        self._write()

    def put(self, entry: Entry) -> None:
        """See `ports.UnrecordedEjects`."""
        with self._lock:
            self._entries[entry.endpoint] = entry
            self._write()

    def of(self, name: str) -> Entry | None:
        """See `ports.UnrecordedEjects`."""
        return self._entries.get(name)

    def recorded(self, name: str) -> None:
        """See `ports.UnrecordedEjects`."""
        with self._lock:
            if self._entries.pop(name, None) is not None:
                self._write()

    def _read(self) -> dict[str, Entry]:
        try:
            known = (read_json(self._path) or {}).get("ejects", {})
            return {name: read(Entry, body) for name, body in known.items()}
        except (OSError, *UNREADABLE) as error:
            log.warning("%s cannot be read; what it may have kept is lost: %s", self._path, error)
            return {}

    def _write(self) -> None:
        ejects = {name: written(entry) for name, entry in self._entries.items()}
        try:
            write_json(self._path, {"ejects": ejects, "room": _ROOM})
        except OSError as error:
            log.warning("ejects are kept in memory only: %s", error.strerror or error)
