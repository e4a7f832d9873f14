"""The scripts that there are, and running one of them in a process of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Row, read
from benchmarks.running.machine import calm, load_average

BENCHMARKS = Path(__file__).parents[1]
CALM_SECONDS = 120.0
SCRIPT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one script: its rows, or the reason for having none."""

    script: str
    load: str
    """The load average just before."""
    seconds: float
    rows: Sequence[Row] = ()
    failure: str = ""


def found(folder: Path = BENCHMARKS) -> list[str]:
    """Return the names of all scripts: modules, and packages that can be run."""
    modules = {file.stem for file in folder.glob("[a-z]*.py")} - {"report"}
    return sorted(modules | {file.parent.name for file in folder.glob("*/__main__.py")})


def run(script: str, *, smoke: bool) -> Outcome:
    """Run one script at a calm moment; its rows are printed as it finds them. Never raises."""
    if not smoke:
        calm(CALM_SECONDS)
    load = load_average()
    began = time.monotonic()
    with TemporaryDirectory(prefix="benchmark-") as folder:
        file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", f"benchmarks.{script}", "--json", str(file)]
        status = _run(command + ["--smoke"] * smoke)
        seconds = time.monotonic() - began
        if status != 0:
            return Outcome(script, load, seconds, failure=f"it ended with status {status}")
        try:
            return Outcome(script, load, seconds, read(file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Outcome(script, load, seconds, failure=f"its rows cannot be read: {error}")


def _run(command: list[str]) -> int:
    process = subprocess.Popen(command, cwd=BENCHMARKS.parent)
    try:
        return process.wait(SCRIPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # so that it ends the servers it started
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
