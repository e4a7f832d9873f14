"""What a command line may say: options, arguments, and how mistakes are answered."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest

from parkmeter.cli import app
from parkmeter.cli.command import Argument, Command, Group, HelpWanted, Option, UsageError
from tests.support.command import run_command


def example(
    first: Annotated[str, Argument(help="")],
    second: Annotated[Path | None, Argument(help="", metavar="FILE")] = None,
    *,
    count: Annotated[int, Option("--count -n", help="", minimum=1, maximum=9)] = 5,
    ratio: Annotated[float | None, Option(help="")] = None,
    follow: Annotated[bool, Option("--follow -f", help="")] = False,
    quick: Annotated[bool, Option("--quick -q", help="")] = False,
    label: Annotated[list[str] | None, Option(help="")] = None,
) -> None:
    """Do nothing."""


EXAMPLE = Command(__name__, "example", "Do nothing.")


def parsed(*words: str) -> dict[str, object]:
    given = EXAMPLE.parse(words)
    defaults = inspect.signature(example).parameters
    return {name: value for name, value in given.items() if value != defaults[name].default}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["a"], {"first": "a"}),
        (["a", "b"], {"first": "a", "second": Path("b")}),
        (["--count", "3", "a"], {"first": "a", "count": 3}),
        (["a", "--count=3", "b"], {"first": "a", "second": Path("b"), "count": 3}),
        (["a", "-n", "3"], {"first": "a", "count": 3}),
        (["a", "-n3"], {"first": "a", "count": 3}),
        (["a", "-fq"], {"first": "a", "follow": True, "quick": True}),
        (["a", "-fn3"], {"first": "a", "follow": True, "count": 3}),
        (["a", "--ratio", "-1.5"], {"first": "a", "ratio": -1.5}),
        (["a", "--label", "x", "--label=y"], {"first": "a", "label": ["x", "y"]}),
        (["-"], {"first": "-"}),
        (["--", "-f"], {"first": "-f"}),
        (
            ["--follow", "--", "a", "--count"],
            {"follow": True, "first": "a", "second": Path("--count")},
        ),
        ([""], {"first": ""}),
        (["a", "-5"], {"first": "a", "second": Path("-5")}),
        (["- a list", "-.5"], {"first": "- a list", "second": Path("-.5")}),
    ],
)
def test_options_stand_anywhere_and_arguments_in_order(words, values):
    assert parsed(*words) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "FIRST is missing."),
        (["a", "b", "c"], "Nothing is known to do with 'c'."),
        (["a", "--cuont", "3"], "There is no option --cuont. Did you mean --count?"),
        (["a", "-x"], "There is no option -x."),
        (["a", "--count"], "--count needs a value: --count NUMBER"),
        (["a", "--count", "x"], "--count: 'x' is not a whole number."),
        (["a", "--count", "0"], "--count: 0 is less than 1."),
        (["a", "-n10"], "--count: 10 is more than 9."),
        (["a", "--ratio", "x"], "--ratio: 'x' is not a number."),
        (["a", "--follow=yes"], "--follow takes no value."),
        (["a", "--foll"], "There is no option --foll. Did you mean --follow?"),
    ],
)
def test_a_mistake_is_named(words, message):
    with pytest.raises(UsageError) as refused:
        EXAMPLE.parse(words)
    assert str(refused.value) == message


@pytest.mark.parametrize("words", [["--help"], ["a", "-h"], ["-fh"]])
def test_help_is_wanted_whatever_else_is_there(words):
    with pytest.raises(HelpWanted):
        EXAMPLE.parse(words)


@pytest.mark.parametrize(
    ("words", "mistake", "helped_by"),
    [
        (["statu"], "command statu. Did you mean status?", "parkmeter --help"),
        (["stop"], "command stop. Did you mean eject?", "parkmeter --help"),
        (["start"], "command start. Did you mean top-up?", "parkmeter --help"),
        (["token", "reate"], "command reate. Did you mean create?", "parkmeter token --help"),
        (["--vresion"], "option --vresion. Did you mean --version?", "parkmeter --help"),
        (["status", "--jsn"], "option --jsn. Did you mean --json?", "parkmeter status --help"),
    ],
)
def test_a_mistake_ends_with_2_and_the_command_that_helps(words, mistake, helped_by):
    done = run_command(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"parkmeter: There is no {mistake}\n  {helped_by}\n"


def test_words_of_other_tools_mean_commands_that_exist():
    assert set(app.meant.values()) <= set(app.commands)
    assert not set(app.meant) & set(app.commands)


def commands(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Command]]:
    for name, node in group.commands.items():
        if isinstance(node, Group):
            yield from commands(node, (*path, name))
        else:
            yield " ".join((*path, name)), node


@pytest.mark.parametrize(("name", "command"), list(commands(app)))
def test_the_help_of_all_says_of_a_command_what_its_own_says(name, command):
    assert command.text.partition("\n")[0] == command.summary
    shown = run_command(*name.split(), "--help")
    assert shown.exit_code == 0
    assert command.summary.split(".")[0] in " ".join(shown.stdout.split())
    for parameter in command.parameters:
        assert parameter.shown.help
        assert parameter.shown.help in " ".join(shown.stdout.split())


def test_without_a_command_the_help_is_shown_and_the_usage_is_wrong():
    done = run_command()
    assert done.exit_code == 2
    assert done.stdout == run_command("--help").stdout


def test_help_is_coloured_on_a_terminal_only():
    assert "\x1b" not in run_command("status", "--help").stdout
    coloured = run_command("status", "--help", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[36m-w, --watch\x1b[0m" in coloured
    assert "\x1b" not in run_command("--help", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_help_fits_the_terminal(columns):
    for name, _ in commands(app):
        lines = run_command(*name.split(), "--help", env={"COLUMNS": str(columns)}).stdout
        longest = max(len(line) for line in lines.splitlines() if not line.startswith("Usage"))
        assert longest <= max(60, min(columns, 100))


def test_a_reader_that_has_enough_ends_a_command_quietly():
    # The pipe is closed before anything is written.
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "parkmeter", "--help"],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
