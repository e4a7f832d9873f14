"""The promises of `promises.toml`, and whether a run keeps them. Nothing is measured here."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, Outcome

_FILE = Path(__file__).with_name("promises.toml")


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise: in words, where its figure is found, and its limit: `≤ 1.8` or `≥ 0.5`."""

    words: str
    scene: str
    row: str
    column: str
    limit: str

    def kept(self, figure: Figure) -> bool:
        """Return whether the figure's median is on the right side of the limit."""
        side, _, limit = self.limit.partition(" ")
        match side:
            case "≤":
                return figure.median <= float(limit)
            case "≥":
                return figure.median >= float(limit)
            case _:
                raise ValueError(f"{self.words}: a limit begins with ≤ or ≥")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise, the figure it was judged by (None if that was not measured), and the run."""

    promise: Promise
    figure: Figure | None
    outcome: Outcome

    def __str__(self) -> str:
        if self.figure is None:
            return "not measured"
        return "met" if self.promise.kept(self.figure) else "MISSED"


def promises() -> list[Promise]:
    """Return all of them, in the order of the file."""
    scenes = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return [
        Promise(words, scene, *place)
        for scene, lines in scenes.items()
        for words, place in lines.items()
    ]


def judge(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """Return a verdict for each promise of the scenes that were run."""
    ran = {one.scene: one for one in outcomes}
    return [
        Verdict(one, ran[one.scene].measured.find(one.row, one.column), ran[one.scene])
        for one in promises()
        if one.scene in ran
    ]
