"""Facts of the machine, and how much of it other programs use."""

import os
import platform
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


def described() -> str:
    """Return processor, memory, system and interpreter in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    cores = f"{os.cpu_count()} cores, {memory:.0f} GiB"
    return f"{_processor()}, {cores}; {system}; Python {platform.python_version()}"


def revision() -> str:
    """Return the commit, and whether files were changed since."""

    def git(*arguments: str) -> str:
        return subprocess.check_output(
            ["git", *arguments], cwd=ROOT, text=True, stderr=subprocess.DEVNULL
        ).strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=10", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclass(frozen=True, slots=True)
class CoreTime:
    """Seconds since boot that a core was busy, and that passed on it."""

    busy: float
    all: float

    def busy_since(self, earlier: "CoreTime") -> float:
        """Return the share of the time in use since then."""
        passed = self.all - earlier.all
        return (self.busy - earlier.busy) / passed if passed else 0.0


def core_time(core: int | None = None) -> CoreTime | None:
    """Return the time of one core, or of all; None where the system does not count it."""
    wanted = "cpu" if core is None else f"cpu{core}"
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = next((line.split() for line in lines if line.split()[0] == wanted), None)
    if fields is None:
        return None
    ticks = [int(field) / _TICKS for field in fields[1:9]]
    return CoreTime(sum(ticks) - ticks[3] - ticks[4], sum(ticks))


class OthersMeter:
    """Share of all cores that programs other than this process and its children use."""

    def __init__(self) -> None:
        self._all = core_time()
        self._ours = _our_time()

    def share(self) -> float | None:
        """Return it since this was made; children count once they have ended."""
        now = core_time()
        if now is None or self._all is None or now.all == self._all.all:
            return None
        ours = _our_time() - self._ours
        return max(0.0, (now.busy - self._all.busy - ours) / (now.all - self._all.all))


def _our_time() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    return next(names, platform.machine())
