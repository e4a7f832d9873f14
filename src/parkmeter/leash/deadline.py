"""The deadline of a run: a moment of wall time, bounded by the time that may elapse until then.

Wall time says the hour. Elapsed time bounds what was bought: setting the clock back extends no run.
The bound is void after a reboot, and where the system has no such clock.
"""

import time

from parkmeter.leash.elapsed import boot_id, since_boot
from parkmeter.leash.files import Content

SLACK = 2.0
"""Seconds that elapsed time may differ from wall time. The gateway rewrites a deadline whose bound
has drifted by more than half of it."""

_LAST = "version_again"
"""The last member. Of a file that is read while it is written over, the first bytes may be new and
the last ones old: two versions, of which a mixture could be higher than both, and then stay."""


def deadline_of(until: float, version: int) -> Content:
    """Return the content of a deadline file: `until` in wall time, and its bound as of now."""
    content: Content = {"version": version, "until": until}
    elapsed = since_boot()
    if elapsed is not None:
        content |= {"boot": boot_id(), "elapsed": elapsed + until - time.time()}
    return content | {_LAST: version}


def is_same(one: Content, other: Content) -> bool:
    """Return whether two deadlines mean the same moment."""
    keys = ("version", "until", "boot")
    if any(one.get(key) != other.get(key) for key in keys):
        return False
    drift: float = one.get("elapsed", 0.0) - other.get("elapsed", 0.0)
    return abs(drift) < SLACK / 2


class Deadline:
    """The deadline that a leash enforces."""

    def __init__(self, content: Content) -> None:
        self._version = int(content.get("version", 0))
        self._until = float(content.get("until", 0))
        self._bound = _bound_in(content)

    def adopt(self, content: Content) -> None:
        """Take a deadline from the file, unless its version is lower, or it was read half written.

        The same version may have a new deadline: a drain moves it without a commit.
        """
        version = content["version"]
        if version >= self._version and content.get(_LAST, version) == version:
            self._version, self._until = content["version"], content["until"]
            self._bound = _bound_in(content)

    def left(self) -> float:
        """Return the seconds until the deadline, negative if it has passed."""
        left = self._until - time.time()
        elapsed = since_boot()
        if self._bound is None or elapsed is None:
            return left
        return min(left, self._bound + SLACK - elapsed)


def _bound_in(content: Content) -> float | None:
    """Return the bound; None for one of another boot, or by a parkmeter that wrote none."""
    if content.get("boot") != boot_id() or "elapsed" not in content:
        return None
    return float(content["elapsed"])
