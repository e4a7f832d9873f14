"""The health of the local gateway: examined every few seconds, reported without waiting.

`/health` must answer when all else hangs. So nothing is examined in a request: a thread of its own
looks at the store, the disk and the descriptors, and one that does not come back is a finding too.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parkmeter.api.lanes import Lane
from parkmeter.errors import StoreBusyError
from parkmeter.gateway import descriptors

log = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0
_PATIENCE_SECONDS = 3.0
"""For one check. A store that another process has locked answers after ten."""

_ROUNDS_WITHOUT_A_THREAD = 3
"""In a row, and without a call that returned meanwhile."""

_LEAST_DISK = 1 << 20
"""Bytes. With less the next change of a meter may not be written."""

_LEAST_DESCRIPTORS = 32

Figures = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Check:
    """One examination. `code` and `words` name the fault; `sound` returns False if it is there.

    `sound` may take as long as it likes and is called on the monitor's thread only; an error in it
    is the fault as well.
    """

    code: str
    words: str
    sound: Callable[[], bool]


class HealthMonitor:
    """Runs checks on a thread of its own; `faults` and `figures` may be called from any thread.

    Figures that need no check of their own: `count` returns those in memory, where `figures` is
    called; `measure` the others, once a round, for a disk that hangs must not hold up a request.
    """

    def __init__(
        self,
        checks: Sequence[Check],
        measure: Callable[[], Figures],
        count: Callable[[], Figures] = dict,
        *,
        every: float = _EVERY_SECONDS,
    ) -> None:
        self._checks = checks
        self._measure = measure
        self._count = count
        self._every = every
        self._faults: dict[str, str] = {}
        self._measured: Figures = {}
        self._running: tuple[Check, float] | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Begin to examine; the first round begins at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop examining; a check that hangs is abandoned."""
        self._ending.set()

    def faults(self) -> dict[str, str]:
        """Return what is wrong now: a stable code and a sentence each."""
        found = dict(self._faults)
        running = self._running
        if running is not None:
            check, since = running
            if time.monotonic() - since > _PATIENCE_SECONDS:
                found[check.code] = check.words
        return found

    def figures(self) -> Figures:
        """Return the numbers behind it, for an administrator, without those not measured."""
        return {**self._count(), **self._measured}

    def _run(self) -> None:
        while not self._ending.is_set():
            for check in self._checks:
                self._examine(check)
            try:
                self._measured = self._measure()
            except OSError as error:
                log.warning("health: the figures cannot be measured: %s", error)
                self._measured = {}
            self._ending.wait(self._every)

    def _examine(self, check: Check) -> None:
        began = time.monotonic()
        self._running = check, began
        try:
            sound = check.sound()
        except Exception:  # noqa: BLE001 (whatever keeps it from being examined is the fault)
            sound = False
        self._running = None
        took, known = time.monotonic() - began, check.code in self._faults
        if not sound and not known:
            log.error("health: %s: %s", check.code, check.words)
            self._faults = {**self._faults, check.code: check.words}
        elif sound and took > _PATIENCE_SECONDS:
            log.error("health: %s for %.0f s: %s", check.code, took, check.words)
        elif sound and known:
            log.warning("health: %s is over", check.code)
            self._faults = {
                code: words for code, words in self._faults.items() if code != check.code
            }


def store_check(probe: Callable[[], None]) -> Check:
    """Return the check that a change could be committed; `probe` raises if it could not."""

    def sound() -> bool:
        try:
            probe()
        except StoreBusyError:
            return False
        return True

    return Check(
        "store_not_writable", "The store takes no change, so no meter can be changed.", sound
    )


def disk_check(folder: Path) -> Check:
    """Return the check that the state folder's disk has room."""
    return Check(
        "disk_full",
        f"The disk of {folder} is full; changes of meters cannot be written.",
        lambda: disk_free(folder) >= _LEAST_DISK,
    )


def descriptor_check() -> Check:
    """Return the check that files and connections can still be opened."""

    def sound() -> bool:
        used, most = descriptors.open_count(), descriptors.limit()
        return used is None or most - used >= min(_LEAST_DESCRIPTORS, most // 8)

    return Check("descriptors_used_up", "Hardly any file descriptor is left.", sound)


def thread_check(lanes: Iterable[Lane]) -> Check:
    """Return the check that control requests of every kind get on.

    Lanes that are full but get on are busy, and no fault.
    """
    rounds = dict.fromkeys(lanes, (0, -1))

    def sound() -> bool:
        for lane, (count, finished) in rounds.items():
            stuck = lane.full and lane.finished == finished
            rounds[lane] = count + 1 if stuck else 0, lane.finished
        return all(count < _ROUNDS_WITHOUT_A_THREAD for count, _ in rounds.values())

    return Check("no_control_thread", "Every thread for control requests of a kind hangs.", sound)


def disk_free(folder: Path) -> int:
    """Return the bytes that may still be written to the disk of this folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
