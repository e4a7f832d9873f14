"""Moments that several processes write into one file: who did what when, by the wall clock."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Note:
    """`at`: seconds since 1970. `what`: "start" and "stop" called, "sigterm" received."""

    at: float
    what: str
    name: str


class Notes:
    """A file of notes. Every note is one small write to its end, so writers need not agree."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self, what: str, name: str) -> None:
        """Write down that this happened now."""
        line = json.dumps([time.time(), what, name]) + "\n"
        handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def first(self, what: str, since: float) -> dict[str, float]:
        """Return the time of the first such event of each endpoint, after `since`."""
        found: dict[str, float] = {}
        for note in self._all():
            if note.what == what and note.at >= since:
                found.setdefault(note.name, note.at)
        return found

    def _all(self) -> Iterator[Note]:
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                yield Note(*json.loads(line))
