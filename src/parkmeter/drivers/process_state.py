"""State of a local endpoint, derived from its files alone, without a request to its server.

Knows the files and the order in which a leash writes them; phases and texts for people belong to
the driver.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from parkmeter.leash.files import (
    FAILED,
    FINAL,
    STOPPING,
    Content,
    Files,
    has_reader,
    is_locked,
    read_json,
    read_record,
)


class State(Enum):
    """State of an endpoint's process."""

    NOTHING = auto()
    STARTING = auto()  # a leash has the lock but has not written its record yet
    RUNNING = auto()
    STOPPING = auto()
    FAILED = auto()  # no process is left; the record has the reason
    ORPHANED = auto()  # its leash is dead; processes may be left


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An endpoint's state at one time. `record` is that of the present run, or of the last one."""

    state: State
    record: Content

    def time(self, key: str) -> datetime | None:
        """Return a time of the record; None if it has none."""
        seconds = self.record.get(key)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def take_snapshot(files: Files) -> Snapshot:
    """Return the present state of an endpoint.

    "Orphaned" is checked twice: a leash that starts or exits between the reading of two files seems
    dead for an instant.
    """
    seen = _read_once(files)
    return _read_once(files) if seen.state is State.ORPHANED else seen


def read_if_of_run(path: str, seen: Snapshot) -> Content | None:
    """Return the content of a file if it belongs to the run of the snapshot, else None."""
    content = read_json(path)
    return content if content and content.get("run") == seen.record["run"] != "" else None


def _read_once(files: Files) -> Snapshot:
    held = is_locked(files.lock)
    # Read after the lock, so that all that a leash wrote before releasing it is seen.
    record = read_record(files.record)
    if not record:
        return Snapshot(State.STARTING if held else State.NOTHING, {})
    state = record["state"]
    if state in FINAL:
        if held:
            return Snapshot(State.STOPPING, record)
        return Snapshot(State.FAILED if state == FAILED else State.NOTHING, record)
    if not held or not has_reader(files.bell):
        return Snapshot(State.ORPHANED, record)
    running = Snapshot(State.RUNNING, record)
    if state == STOPPING or read_if_of_run(files.stop, running):
        return Snapshot(State.STOPPING, record)
    return running
