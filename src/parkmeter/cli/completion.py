"""Completion in bash, zsh and fish: the scripts, where they belong, and what they ask.

A script calls the command with what was typed so far in its environment. The variables' names are
those of scripts that earlier releases installed, which go on working.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from parkmeter.cli.command import (
    HELP_FLAGS,
    Argument,
    Chosen,
    Command,
    Group,
    Parameter,
    UsageError,
    choose,
    is_option,
)

ASKED = "_PARKMETER_COMPLETE"
"""The variable that asks for completions: `complete_bash`, `complete_zsh`, `complete_fish`."""

_TYPED, _FISH_ACTION = "_TYPER_COMPLETE_ARGS", "_TYPER_COMPLETE_FISH_ACTION"

_BASH = f"""\
_parkmeter_completion() {{
  local IFS=$'\\n'
  COMPREPLY=($(COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD {ASKED}=complete_bash "$1"))
}}
complete -o default -F _parkmeter_completion parkmeter
"""
_ZSH = f"""\
#compdef parkmeter
_parkmeter_completion() {{
  eval "$({_TYPED}="${{words[1,$CURRENT]}}" {ASKED}=complete_zsh parkmeter)"
}}
compdef _parkmeter_completion parkmeter
"""
_FISH_CALL = f"env {ASKED}=complete_fish {_TYPED}=(commandline -cp) {_FISH_ACTION}"
_FISH = (
    f'complete -c parkmeter --no-files -a "({_FISH_CALL}=get-args parkmeter)" '
    f'-n "{_FISH_CALL}=is-args parkmeter"\n'
)


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell: its script, the file it belongs into, and a line for the shell's own settings."""

    script: str
    file: str
    settings: str = ""
    line: str = ""


SHELLS: Mapping[str, Shell] = {
    "bash": Shell(
        _BASH,
        ".bash_completions/parkmeter.sh",
        ".bashrc",
        "source ~/.bash_completions/parkmeter.sh",
    ),
    "zsh": Shell(
        _ZSH,
        ".zfunc/_parkmeter",
        ".zshrc",
        "fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    ),
    "fish": Shell(_FISH, ".config/fish/completions/parkmeter.fish"),
}


def show() -> None:
    """Print the script of the shell in use."""
    sys.stdout.write(_shell().script)


def install(home: Path | None = None) -> None:
    """Write the script of the shell in use to where the shell finds it."""
    home, shell = home or Path.home(), _shell()
    file = home / shell.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(shell.script, encoding="utf-8")
    if shell.settings:
        settings = home / shell.settings
        text = settings.read_text(encoding="utf-8") if settings.exists() else ""
        # As earlier releases wrote it for bash.
        if shell.line not in text and f"source '{file}'" not in text:
            text += "" if not text or text.endswith("\n") else "\n"
            settings.write_text(f"{text}{shell.line}\n", encoding="utf-8")
    sys.stdout.write(f"Completion is installed in {file}. It works in the next shell.\n")


def _shell() -> Shell:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(f"There is completion for {', '.join(SHELLS)}; $SHELL is {name!r}.")
    return SHELLS[name]


def answer(group: Group, environment: Mapping[str, str]) -> NoReturn:
    """Print what can follow the words typed so far, as the shell that asks wants it, and exit."""
    asked = environment[ASKED]
    words, last = _typed(asked, environment)
    found = candidates(group, words, last)
    if asked == "complete_zsh":
        shown = " ".join(_zsh(word, text) for word, text in found)
        sys.stdout.write(f"_arguments '*: :(({shown}))'\n" if found else "_files\n")
    elif asked == "complete_fish":
        if environment.get(_FISH_ACTION) == "is-args":
            sys.exit(0 if found else 1)
        sys.stdout.writelines(f"{word}\t{text}".rstrip() + "\n" for word, text in found)
    else:
        sys.stdout.writelines(f"{word}\n" for word, _ in found)
    sys.exit(0)


def candidates(group: Group, words: list[str], last: str) -> list[tuple[str, str]]:
    """Return the words that can follow `words` and begin with `last`, each with its meaning."""
    chosen = choose("parkmeter", group, words)
    if isinstance(chosen.node, Command):
        found = _of_command(chosen, chosen.node, last)
    elif chosen.words:
        return []  # after a word that is no command
    elif last.startswith("-"):
        found = [(flag, text) for flag, (text, _) in chosen.node.flags.items()]
        found += [(HELP_FLAGS[-1], "Show this message and exit.")]
    else:
        found = [(name, below.summary) for name, below in chosen.node.commands.items()]
    return [(word, text) for word, text in found if word.startswith(last)]


def _of_command(chosen: Chosen, command: Command, last: str) -> list[tuple[str, str]]:
    options = [p for p in command.parameters if not isinstance(p.shown, Argument)]
    given, positions = dict[str, str](), 0
    waiting: Parameter | None = None
    for word in chosen.words:
        if waiting is not None:
            given[waiting.name], waiting = word, None
        elif is_option(word):
            named = next((p for p in options if word in p.flags), None)
            waiting = named if named is not None and named.metavar else None
        else:
            positions += 1
    if waiting is None and last.startswith("-"):
        return [(p.flags[0], p.shown.help) for p in options] + [
            (HELP_FLAGS[-1], "Show this message and exit.")
        ]
    if waiting is None:
        arguments = [p for p in command.parameters if isinstance(p.shown, Argument)]
        waiting = arguments[positions] if positions < len(arguments) else None
    if waiting is None or waiting.shown.complete is None:
        return []
    return [(name, "") for name in waiting.shown.complete(given, last)]


def _typed(asked: str, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the complete words after the program's name, and the beginning of the next."""
    if asked == "complete_bash":
        words = environment.get("COMP_WORDS", "").split()
        number = int(environment.get("COMP_CWORD") or len(words))
        return words[1:number], words[number] if number < len(words) else ""
    line = environment.get(_TYPED, "")
    words = line.split()[1:]
    return (words[:-1], words[-1]) if words and not line[-1:].isspace() else (words, "")


def _zsh(word: str, text: str) -> str:
    escaped = [re.sub(r"([$`\"\\:])", r"\\\1", one).replace("'", "") for one in (word, text)]
    return f'"{escaped[0]}"' + (f':"{escaped[1]}"' if text else "")
