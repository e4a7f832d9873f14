"""`parkmeter --help` against an interpreter that does nothing: target 6 times.

Processor seconds of whole processes, taken in turn, so that neither other work on the machine nor a
change of its speed favours one.

    python -m benchmarks.command_line [--rounds 15]
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Bound, Claim, Effort, Row, main

TARGET = 6
BARE, OURS = "python -c pass", "parkmeter --help"

_ENTRY_POINT = "from parkmeter.cli import main\nmain()"
"""What an installer makes of the entry point."""


def measure(effort: Effort) -> Iterator[Row]:
    """Return the ratio of each round, and the seconds that it is made of."""
    taken: dict[str, list[float]] = {BARE: [], OURS: []}
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for number, (name, text) in enumerate(((BARE, "pass"), (OURS, _ENTRY_POINT))):
            script = Path(folder) / f"{number}.py"
            script.write_text(text, encoding="utf-8")
            commands[name] = [sys.executable, str(script), "--help"]
        for command in commands.values():
            _seconds(command)  # writes the byte code
        for _ in range(effort.rounds):
            for name, command in commands.items():
                taken[name].append(_seconds(command))
    ratios = [mine / base for mine, base in zip(taken[OURS], taken[BARE], strict=True)]
    subject = "help of the command line"
    yield Claim(subject, f"CPU ÷ {BARE}", ratios, "", Bound.AT_MOST, TARGET)
    for name, found in taken.items():
        yield Claim(subject, f"CPU, {name}", [seconds * 1e3 for seconds in found], "ms")


def _seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main(__doc__, measure, full=Effort(rounds=15), smoke=Effort(rounds=1))
