"""Findings of an examination. Plain data."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    GOOD = "good"
    NOTE = "note"
    """Worth knowing; nothing must be done."""
    WRONG = "wrong"
    """Something does not work, or is going to fail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, the observation, and what to do about it, if anything."""

    level: Level
    what: str
    seen: str
    do: str = ""


def good(what: str, seen: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.GOOD, what, seen)


def note(what: str, seen: str, do: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(Level.NOTE, what, seen, do)


def wrong(what: str, seen: str, do: str) -> Finding:
    """Return a finding that must be fixed."""
    return Finding(Level.WRONG, what, seen, do)
