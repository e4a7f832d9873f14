"""The last lines of a server's log, fit to be read as a reason. Knows text, not processes."""

import re
from pathlib import Path

from parkmeter.leash.files import LOG_MARK

REASON_LINES = 5
REASON_LENGTH = 500
"""Lines and characters of a log that a reason quotes: a traceback's end, not its whole."""

TAIL = 16_384
"""Bytes looked at from the end, more than five sensible lines; keeps a look cheap."""

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a window title and the like
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements of the cursor
    r"|\x1b[@-_]"
)


def last_lines(log: str, lines: int = REASON_LINES, length: int = REASON_LENGTH) -> str:
    """The last lines the latest run wrote, joined by " | "; empty if it wrote nothing."""
    try:
        with Path(log).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    found: list[str] = []
    for raw in reversed(text.split("\n")):
        if raw.startswith(LOG_MARK) or len(found) == lines:
            break
        if line := _plain(raw):
            found.append(line)
    joined = " | ".join(reversed(found))
    return joined if len(joined) <= length else "…" + joined[-length + 1 :]


def _plain(line: str) -> str:
    """The line as a terminal would show it at last: progress bars overwrite themselves."""
    shown = _ESCAPES.sub("", line).rstrip().rsplit("\r", 1)[-1]
    return "".join(character for character in shown if character.isprintable()).strip()
