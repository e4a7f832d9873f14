"""Commands: functions whose parameters are the words and options of a command line.

A parameter is described by `Annotated[type, Argument(...)]` or `Annotated[type, Option(...)]`. Its
type is str, int, float, bool or Path, or one of these `| None`; a list of one for an option that
may be repeated. Standard library only: a library for command lines takes longer to import than
`parkmeter status` may run.
"""

import importlib
import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args, get_origin

Completer = Callable[[Mapping[str, Any], str], list[str]]
"""Returns the words that begin with a text, given the values of the other parameters."""

HELP_FLAGS = ("-h", "--help")


class UsageError(Exception):
    """Raised for words that a command does not take."""


class HelpWanted(Exception):  # noqa: N818 (a wish, not an error)
    """Raised for `-h` or `--help`."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A value by its position. `metavar`: by default the parameter's name."""

    _: KW_ONLY
    help: str
    metavar: str = ""
    complete: Completer | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A value after a flag; a bool is made true by the flag alone.

    `flags`: separated by a space; by default the parameter's name.
    """

    flags: str = ""
    _: KW_ONLY
    help: str
    metavar: str = ""
    minimum: float | None = None
    maximum: float | None = None
    complete: Completer | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a command's function. `default`: `inspect.Parameter.empty` if required."""

    name: str
    shown: Argument | Option
    kind: type
    repeated: bool
    default: Any

    @property
    def required(self) -> bool:
        """Return whether the command ends without it."""
        return self.default is inspect.Parameter.empty

    @property
    def flags(self) -> list[str]:
        """Return the flags of an option; none for an argument."""
        if isinstance(self.shown, Argument):
            return []
        return self.shown.flags.split() or ["--" + self.name.replace("_", "-")]

    @property
    def metavar(self) -> str:
        """Return the word that stands for the value; empty for a flag without one."""
        if self.kind is bool:
            return ""
        return self.shown.metavar or (
            _METAVARS[self.kind] if isinstance(self.shown, Option) else self.name.upper()
        )

    def read(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises:
            UsageError: it stands for none.

        """
        name = self.flags[0] if self.flags else self.metavar
        try:
            value = self.kind(text)
        except ValueError:
            raise UsageError(f"{name}: {text!r} is not {_WANTED[self.kind]}.") from None
        if isinstance(self.shown, Option):
            least, most = self.shown.minimum, self.shown.maximum
            if least is not None and not value >= least:
                raise UsageError(f"{name}: {text} is less than {least:g}.")
            if most is not None and not value <= most:
                raise UsageError(f"{name}: {text} is more than {most:g}.")
        return value


_METAVARS: Mapping[type, str] = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
_WANTED: Mapping[type, str] = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Command:
    """A function in a module that is imported when the command runs.

    `summary`: the first line of its docstring, so that `--help` imports none of them.
    """

    module: str
    function: str
    summary: str

    @cached_property
    def run(self) -> Callable[..., None]:
        """Return the function."""
        found: Callable[..., None] = getattr(importlib.import_module(self.module), self.function)
        return found

    @property
    def text(self) -> str:
        """Return the whole help."""
        return inspect.getdoc(self.run) or self.summary

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters in the order of the function."""
        return tuple(map(_parameter, inspect.signature(self.run).parameters.values()))

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the values of the parameters.

        Raises:
            UsageError: the words are not those of this command.
            HelpWanted: they ask for its help.

        """
        found: dict[str, Any] = {p.name: p.default for p in self.parameters if not p.required}
        rest = self._take_options(deque(words), found)
        arguments = [p for p in self.parameters if isinstance(p.shown, Argument)]
        for parameter in arguments:
            if rest:
                found[parameter.name] = parameter.read(rest.popleft())
            elif parameter.required:
                raise UsageError(f"{parameter.metavar} is missing.")
        if rest:
            raise UsageError(f"Nothing is known to do with {rest[0]!r}.")
        return found

    def _take_options(self, words: deque[str], found: dict[str, Any]) -> deque[str]:
        """Put the values of options into `found`, and return the other words."""
        by_flag = {flag: parameter for parameter in self.parameters for flag in parameter.flags}
        rest: deque[str] = deque()
        while words:
            word = words.popleft()
            if word == "--":
                return rest + words
            if not is_option(word):
                rest.append(word)
                continue
            flag, value = _split(word)
            if flag in HELP_FLAGS:
                raise HelpWanted
            if flag not in by_flag:
                unknown("option", flag, by_flag)
            parameter = by_flag[flag]
            if parameter.kind is bool:
                if value is not None and flag.startswith("--"):
                    raise UsageError(f"{flag} takes no value.")
                if value is not None:
                    words.appendleft(f"-{value}")  # several flags in one word: -nf
                found[parameter.name] = True
                continue
            if value is None and not words:
                raise UsageError(f"{flag} needs a value: {flag} {parameter.metavar}")
            read = parameter.read(words.popleft() if value is None else value)
            found[parameter.name] = (
                [*(found[parameter.name] or ()), read] if parameter.repeated else read
            )
        return rest


@dataclass(frozen=True)
class Group:
    """Commands below one word. `flags`: what each flag of the group does in place of a command.

    `meant`: by words of other tools, the command that does what they say.
    """

    text: str
    commands: Mapping[str, "Command | Group"]
    flags: Mapping[str, tuple[str, Callable[[], None]]] = field(default_factory=dict)
    meant: Mapping[str, str] = field(default_factory=dict)
    epilog: str = ""

    @property
    def summary(self) -> str:
        """Return the first line of the help."""
        return self.text.partition("\n")[0]


@dataclass(frozen=True)
class Chosen:
    """What the first words choose. `path`: these words; `words`: those that follow."""

    path: tuple[str, ...]
    node: Command | Group
    words: tuple[str, ...]


def choose(name: str, group: Group, words: Sequence[str]) -> Chosen:
    """Return the command or group that the words begin with."""
    chosen = Chosen((name,), group, tuple(words))
    while isinstance(chosen.node, Group) and chosen.words:
        word, rest = chosen.words[0], chosen.words[1:]
        if (below := chosen.node.commands.get(word)) is None:
            break
        chosen = Chosen((*chosen.path, word), below, rest)
    return chosen


def is_option(word: str) -> bool:
    """Return whether a word names an option. A negative number and `- text` are arguments."""
    return word.startswith("-") and (word[1:2] == "-" or word[1:2].isalpha())


def unknown(
    what: str, word: str, known: Mapping[str, Any], meant: Mapping[str, str] | None = None
) -> NoReturn:
    """Raise the error for an unknown command or option, with the one it means or is most like."""
    from difflib import get_close_matches

    like = [meant[word]] if meant and word in meant else get_close_matches(word, known, 1)
    hint = f" Did you mean {like[0]}?" if like else ""
    raise UsageError(f"There is no {what} {word}.{hint}")


def _split(word: str) -> tuple[str, str | None]:
    """Return a flag and the value in the same word: `--key=K`, `-n5`."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None
    return word[:2], word[2:] or None


def _parameter(declared: inspect.Parameter) -> Parameter:
    annotation = declared.annotation
    (shown,) = annotation.__metadata__
    (kind, *_) = [one for one in _alternatives(annotation.__origin__) if one is not NoneType]
    repeated = get_origin(kind) is list
    if repeated:
        (kind,) = get_args(kind)
    return Parameter(declared.name, shown, kind, repeated, declared.default)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return (
        (annotation,) if get_origin(annotation) is list else get_args(annotation) or (annotation,)
    )
