"""What the files of one endpoint say of it: one look, without asking the server anything.

Knows the files and the order in which a leash writes them; phases and words for people are the
driver's business.
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
)


class State(Enum):
    """What there is of an endpoint's process."""

    NOTHING = auto()
    BEGINNING = auto()  # a leash has the lock but has not written its record yet
    RUNNING = auto()
    ENDING = auto()
    FAILED = auto()  # over; nothing is left but the record that says why
    ORPHANED = auto()  # it has no leash any more, and something of it may be left


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `record` is the run's, or the last run's where nothing is there."""

    state: State
    record: Content

    def moment(self, key: str) -> datetime | None:
        """A time in the record."""
        seconds = self.record.get(key)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def look(files: Files) -> Look:
    """Look at an endpoint.

    "Orphaned" needs a second look: a leash that begins or ends between the reading of two files
    seems dead for an instant.
    """
    seen = _look_once(files)
    return _look_once(files) if seen.state is State.ORPHANED else seen


def of_this_run(path: str, seen: Look) -> Content | None:
    """What a file says, if it speaks of the run that was seen and not of one before."""
    content = read_json(path)
    return content if content and content.get("run") == seen.record["run"] else None


def _look_once(files: Files) -> Look:
    held = is_locked(files.lock)
    # Read after the lock: what a leash wrote before it let go is then surely seen.
    record = read_json(files.record)
    if record is None:
        return Look(State.BEGINNING if held else State.NOTHING, {})
    state = record["state"]
    if state in FINAL:
        if held:
            return Look(State.ENDING, record)
        return Look(State.FAILED if state == FAILED else State.NOTHING, record)
    if not held or not has_reader(files.bell):
        return Look(State.ORPHANED, record)
    running = Look(State.RUNNING, record)
    if state == STOPPING or of_this_run(files.stop, running):
        return Look(State.ENDING, record)
    return running
