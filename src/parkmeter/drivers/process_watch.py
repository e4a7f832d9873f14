"""Signs of life over many looks: of a leash, and of a ready server. Knows no processes.

Measured by this process's own clock and only while it looks: a gateway that was suspended, or
started just now, has seen no silence yet. Wall time, which may be set, plays no part.
"""

import os
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

from parkmeter.drivers.process_state import Snapshot
from parkmeter.leash.files import Files

HUNG_AFTER = 20.0
"""Seconds without a sign after which a leash counts as hung: four of its beats (`supervise.BEAT`),
and more than a slow disk delays one."""

PAST_THE_GRACE = 5.0
"""Seconds that a leash has beyond the grace of its server, to kill and to clean up."""

_LONGEST_STEP = 2.0
"""Seconds between two looks that count at most; looks come every second."""


@dataclass(slots=True)
class _Silence:
    """The last `sign`, and the seconds of silence since, as of the last look."""

    sign: Hashable
    lasted: float
    looked_at: float


class Watch:
    """The time without a sign of life, by name. From any thread."""

    def __init__(self) -> None:
        self._seen: dict[str, _Silence] = {}
        self._lock = threading.Lock()

    def silent_for(self, name: str, sign: Hashable) -> float:
        """Return the seconds for which this sign has been the same."""
        now = time.monotonic()
        with self._lock:
            seen = self._seen.get(name)
            if seen is None or seen.sign != sign:
                self._seen[name] = _Silence(sign, 0.0, now)
                return 0.0
            seen.lasted += min(now - seen.looked_at, _LONGEST_STEP)
            seen.looked_at = now
            return seen.lasted

    def forget(self, name: str) -> None:
        """Begin again at the next look."""
        with self._lock:
            self._seen.pop(name, None)


class LeashWatch:
    """Leashes that hang, and stops that such a leash does not carry out."""

    def __init__(self) -> None:
        self._beats = Watch()
        self._stops = Watch()

    def is_hung(self, files: Files, seen: Snapshot) -> bool:
        """Return whether a leash shows no sign of life. One of an older parkmeter never does."""
        record = seen.record
        if not record.get("beats"):
            return False
        try:
            beat = os.stat(files.record).st_mtime_ns  # noqa: PTH116 (files has texts)
        except OSError:
            beat = 0
        return self._beats.silent_for(files.record, (record["run"], beat)) >= HUNG_AFTER

    def is_given_up(self, files: Files, seen: Snapshot) -> bool:
        """Return whether a stop was requested, and a leash that hangs has let its time pass.

        To be called at each look at a run that is to stop.
        """
        hung, run = self.is_hung(files, seen), seen.record["run"]
        patience = float(seen.record["stop_grace"]) + PAST_THE_GRACE
        return self._stops.silent_for(files.record, run) >= patience and hung
