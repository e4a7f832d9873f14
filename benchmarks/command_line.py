"""`parkmeter --help` against a bare typer app with as many commands: target 1.3 times.

Processor seconds of whole processes, taken in turn, so that neither other work on the machine nor a
change of its speed favours one. The bare app has as many commands, each with one option, and does
nothing.

    python -m benchmarks.command_line [--rounds 15]
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer

from benchmarks.report import Bound, Claim, Effort, Row, main
from parkmeter.cli import app

TARGET = 1.3
BARE, OURS = "bare typer app", "parkmeter --help"

_ENTRY_POINT = "from parkmeter.cli import main\nmain()"
"""What an installer makes of the entry point."""


def measure(effort: Effort) -> Iterator[Row]:
    """Return the ratio of each round, and the seconds that it is made of."""
    taken: dict[str, list[float]] = {BARE: [], OURS: []}
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for number, (name, text) in enumerate(((BARE, _bare_app(app)), (OURS, _ENTRY_POINT))):
            script = Path(folder) / f"{number}.py"
            script.write_text(text, encoding="utf-8")
            commands[name] = [sys.executable, str(script), "--help"]
        for command in commands.values():
            _seconds(command)  # writes the byte code
        for _ in range(effort.rounds):
            for name, command in commands.items():
                taken[name].append(_seconds(command))
    ratios = [mine / base for mine, base in zip(taken[OURS], taken[BARE], strict=True)]
    subject = f"help of {_count(app)} commands"
    yield Claim(subject, f"CPU ÷ {BARE}", ratios, "", Bound.AT_MOST, TARGET)
    for name, found in taken.items():
        yield Claim(subject, f"CPU, {name}", [seconds * 1e3 for seconds in found], "ms")


def _seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _count(group: typer.Typer) -> int:
    inner = sum(_count(one.typer_instance) for one in group.registered_groups if one.typer_instance)
    return len(group.registered_commands) + inner


def _bare_app(group: typer.Typer) -> str:
    lines = ["import typer", "app = typer.Typer(no_args_is_help=True)"]
    lines += _commands(group, "app")
    lines.append("app()")
    return "\n".join(lines)


def _commands(group: typer.Typer, into: str) -> list[str]:
    lines = []
    for number, command in enumerate(group.registered_commands):
        name = command.name or (command.callback.__name__ if command.callback else "")
        lines += [
            f"@{into}.command({name!r})",
            f"def {into}_{number}(name: str = '') -> None:",
            "    '''One line of help.'''",
        ]
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            lines.append(f"{into}_inner = typer.Typer()")
            lines += _commands(inner.typer_instance, f"{into}_inner")
            lines.append(f"{into}.add_typer({into}_inner, name={inner.name!r})")
    return lines


if __name__ == "__main__":
    main(__doc__, measure, full=Effort(rounds=15), smoke=Effort(rounds=1))
