"""The conditions of a measurement: machine, revision, load, and waiting for calm."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

CALM = 0.1
"""The share of all cores that others may be using."""
_SAMPLE_SECONDS = 2.0


def described() -> dict[str, str]:
    """Return the facts of this machine, in the order of the report."""
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Memory": _memory(),
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "parkmeter": f"{version('parkmeter')}, revision {revision()}",
    }


def revision() -> str:
    """Return the commit, and whether files were changed since."""
    root = Path(__file__).parents[2]

    def said(*arguments: str) -> str:
        command = ["git", *arguments]
        told = subprocess.check_output(command, cwd=root, text=True, stderr=subprocess.DEVNULL)
        return told.strip()

    try:
        changed = " with changes" if said("status", "--porcelain", "--untracked-files=no") else ""
        return said("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load_average() -> str:
    """Of the last minute, five and fifteen."""
    try:
        return " ".join(f"{one:.2f}" for one in os.getloadavg())
    except OSError:
        return "unknown"


def calm(seconds: float) -> None:
    """Return when the processors are nearly idle; after that many seconds in any case."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and _busy() > CALM:
        pass


def _busy() -> float:
    """Return the share of processor time in use, sampled briefly; 0 where it is unknown."""
    before = _processor_times()
    if before is None:
        return 0.0
    time.sleep(_SAMPLE_SECONDS)
    after = _processor_times() or before
    total = after[0] - before[0]
    return 1 - (after[1] - before[1]) / total if total else 0.0


def _processor_times() -> tuple[int, int] | None:
    """All and idle, in ticks."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    ticks = [int(field) for field in line.split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return models[0] if models else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return "unknown"
