"""Time since the boot of the machine, suspends included, which no one can set."""
# pathlib would lengthen every start by a fifth.
# ruff: noqa: PTH123

import contextlib
import time

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)
_known_boot = ""


def boot_id() -> str:
    """Return an id of the machine's current boot; empty where the system has none."""
    global _known_boot  # noqa: PLW0603 (it is the same as long as this process lives)
    if not _known_boot:
        with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
            _known_boot = file.read().strip()
    return _known_boot


def since_boot() -> float | None:
    """Return the seconds since the boot; None where no clock counts suspends, or no id of boots.

    Without an id a reboot would look like a clock that was set back.
    """
    if _CLOCK is None or not boot_id():
        return None
    return time.clock_gettime(_CLOCK)
