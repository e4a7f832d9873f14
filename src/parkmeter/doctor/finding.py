"""What an examination finds. Plain data."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    GOOD = "good"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WRONG = "wrong"
    """Something does not work, or will not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, what was seen, and what to do about it, if any."""

    level: Level
    what: str
    seen: str
    do: str = ""


def good(what: str, seen: str) -> Finding:
    """Nothing is wrong with it."""
    return Finding(Level.GOOD, what, seen)


def note(what: str, seen: str, do: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Level.NOTE, what, seen, do)


def wrong(what: str, seen: str, do: str) -> Finding:
    """To be put right."""
    return Finding(Level.WRONG, what, seen, do)
