"""Text for the terminal: words, colours and columns. Pure, except for the two consoles.

Time is an argument, so that a picture or a test is the same every day.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

from parkmeter.core.money import about

# Without emoji: `:x:` in a log line or in JSON is text of others, not markup.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

COLOURS: Mapping[str, str] = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
    "failed": "red",
}

Cell = str | Text


def columns(rows: Iterable[Sequence[Cell]], gap: int = 2) -> list[Text]:
    """Return lines with their cells in columns, uncut: a pipe has no width."""
    filled = [[_text(cell) for cell in row] for row in rows]
    count = max((len(row) for row in filled), default=0)
    widths = [max((r[i].cell_len for r in filled if i < len(r)), default=0) for i in range(count)]
    lines = []
    for row in filled:
        line = Text(no_wrap=True, overflow="ellipsis")
        for cell, width in zip(row, widths, strict=False):
            if width:  # an empty column takes no room
                line.append_text(cell).append(" " * (width - cell.cell_len + gap))
        line.rstrip()
        lines.append(line)
    return lines


def harmless(text: str) -> str:
    """Return text of a model or its server as a terminal may show it: with colours, nothing else.

    Other control sequences could set the clipboard or write over what stands above. What is piped
    or redirected stays as it is.
    """
    return _CONTROLS.sub("", text) if out.is_terminal else text


_CONTROLS = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # a window title, the clipboard
    r"|\x1b(?!\[[0-9;:]*m)(?:\[[0-?]*[ -/]*[@-~]?|[@-~])?"  # all but colours
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)


def status_word(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, COLOURS.get(status.strip(), ""))


def local_now() -> datetime:
    """Return the present time in this machine's zone."""
    return datetime.now(UTC).astimezone()


def countdown(left: timedelta) -> str:
    """Return the time left as a clock shows it: 59:58, 1:59:58."""
    seconds = int(left.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    if minutes < _AN_HOUR:
        return f"{minutes}:{seconds:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


_AN_HOUR = 60


def clock_time(moment: datetime, today: datetime) -> str:
    """Return the time of day in the zone of `today`, with the date if it is another day."""
    local = moment.astimezone(today.tzinfo)
    return local.strftime("%H:%M" if local.date() == today.date() else "%a %d %b %H:%M")


def day_time(moment: datetime, today: datetime) -> str:
    """Return date and time in the zone of `today`."""
    return moment.astimezone(today.tzinfo).strftime("%Y-%m-%d %H:%M:%S")


def hours(span: timedelta) -> str:
    """Return a length of time in hours; below one hour in minutes, so as not to show 0."""
    seconds = span.total_seconds()
    return f"{seconds / 60:.1f} min" if 0 < seconds < _HOUR_SECONDS else f"{seconds / 3600:,.2f} h"


_HOUR_SECONDS = 3600


def minutes(span: timedelta) -> str:
    """Return a length of time in minutes, with its sign."""
    return f"{span.total_seconds() / 60:+,.2f}".removesuffix("0").removesuffix(".0") + " min"


def money(dollars: Decimal | None) -> str:
    """Return a computed amount, or "unknown"."""
    return "unknown" if dollars is None else about(dollars)


def rounded(number: int) -> str:
    """Return a large number in short: 812, 1.9 k, 1.9 M."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return str(number)


def plain_json(document: Any) -> None:
    """Print one JSON document on one line."""
    out.print(json.dumps(document, ensure_ascii=False), markup=False)


def _text(cell: Cell) -> Text:
    # Never as markup: a server's output may contain brackets.
    return cell.copy() if isinstance(cell, Text) else Text(cell)
