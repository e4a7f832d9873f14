"""The help of a command as a page, and that page as text for a terminal. Standard library only."""

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from parkmeter.cli.command import Argument, Command, Group, Option, Parameter

_WIDEST = 100
_BOLD, _CYAN, _DIM = "1", "36", "2"
_INDENT = 2
_GAP = 2
_WIDEST_LEFT = 30
"""Columns; a longer name has its text on the next line."""

_HELP = ("-h, --help", "", "Show this message and exit.")


@dataclass(frozen=True, slots=True)
class Row:
    """A name, the word for its value, and what it is."""

    name: str
    metavar: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a heading."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The help of one command or group."""

    usage: str
    text: str
    sections: tuple[Section, ...]
    epilog: str = ""


def page_of(path: Iterable[str], node: Command | Group) -> Page:
    """Return the help of what these words choose."""
    name = " ".join(path)
    if isinstance(node, Group):
        flags = [Row(_indented([flag]), "", text) for flag, (text, _) in node.flags.items()]
        commands = [Row(word, "", below.summary) for word, below in node.commands.items()]
        sections = [_section("Options", [*flags, Row(*_HELP)]), _section("Commands", commands)]
        return Page(f"{name} [OPTIONS] COMMAND …", node.text, tuple(sections), node.epilog)
    arguments = [p for p in node.parameters if isinstance(p.shown, Argument)]
    options = [p for p in node.parameters if isinstance(p.shown, Option)]
    words = [p.metavar if p.required else f"[{p.metavar}]" for p in arguments]
    sections = [_section("Arguments", [Row(p.metavar, "", p.shown.help) for p in arguments])]
    sections.append(_section("Options", [*map(_option, options), Row(*_HELP)]))
    usage = " ".join([name, "[OPTIONS]", *words])
    return Page(usage, node.text, tuple(one for one in sections if one.rows))


def as_text(page: Page, columns: int, *, colours: bool) -> str:
    """Return a page for a terminal of this many columns."""
    width = min(columns, _WIDEST)

    def styled(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours and text else text

    lines = [f"{styled(_BOLD, 'Usage:')} {page.usage}", ""]
    for paragraph in page.text.split("\n\n"):
        lines += [*textwrap.wrap(paragraph, width, break_on_hyphens=False), ""]
    for section in page.sections:
        lines.append(styled(_BOLD, f"{section.heading}:"))
        lefts = [f"{row.name} {row.metavar}".rstrip() for row in section.rows]
        column = max(len(left) for left in lefts if len(left) <= _WIDEST_LEFT) + _INDENT + _GAP
        for row, left in zip(section.rows, lefts, strict=True):
            shown = f"{' ' * _INDENT}{styled(_CYAN, row.name)} {styled(_DIM, row.metavar)}".rstrip()
            text = textwrap.wrap(row.text, max(width - column, 20), break_on_hyphens=False)
            if len(left) <= _WIDEST_LEFT:
                shown += " " * (column - _INDENT - len(left)) + (text.pop(0) if text else "")
            lines += [shown.rstrip(), *(" " * column + line for line in text)]
        lines.append("")
    lines += textwrap.wrap(page.epilog, width, break_on_hyphens=False)
    return "\n".join(lines).rstrip() + "\n"


def terminal_columns() -> int:
    """Return the columns of the terminal."""
    return shutil.get_terminal_size((80, 24)).columns


def _section(heading: str, rows: Iterable[Row]) -> Section:
    return Section(heading, tuple(rows))


def _option(parameter: Parameter) -> Row:
    text = parameter.shown.help
    if parameter.default not in (None, False, ""):
        text = f"{text} [{parameter.default}]"
    return Row(_indented(parameter.flags), parameter.metavar, text)


def _indented(flags: list[str]) -> str:
    """Return flags with the short ones in a column of their own."""
    short = [flag for flag in flags if not flag.startswith("--")]
    long = [flag for flag in flags if flag.startswith("--")]
    return ", ".join(short + long) if short else "    " + ", ".join(long)
