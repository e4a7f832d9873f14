"""The report of every benchmark, and the small command line they share. Measures nothing.

A benchmark is a script with one generator, `measure(effort)`, that yields rows as they are found:
claims with their figures, peers that could not be had, versions of what was measured against.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effort:
    """The length of a measurement: interleaved rounds, and seconds of load in each, if any.

    `size`: how large a thing is measured, where that is the question.
    Without `installs` only what the machine already has is measured: nothing is fetched.
    """

    rounds: int
    seconds: float = 1.0
    size: int = 0
    installs: bool = True


class Bound(StrEnum):
    """The side of its target that a figure should be on."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True)
class Claim:
    """One line of the table of results: `values` has one figure a round.

    `subject` says what was measured ("data plane, 16 clients"), `figure` in which respect
    ("requests a second against nginx"); without a `bound` it is shown for comparison only.
    """

    subject: str
    figure: str
    values: Sequence[float]
    unit: str = ""
    bound: Bound | None = None
    target: float = 0.0

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Return whether the median is on the right side of the target; None without one."""
        match self.bound:
            case Bound.AT_LEAST:
                return self.median >= self.target
            case Bound.AT_MOST:
                return self.median <= self.target
            case None:
                return None

    def __str__(self) -> str:
        spread = f"{plain(min(self.values))} to {plain(max(self.values))}"
        line = f"{self.subject:38} {self.figure:30} {plain(self.median):>9} {self.unit:4}"
        line += f" {spread:>20}"
        if self.bound is not None:
            line += f"  {self.bound} {plain(self.target)}  {'met' if self.met else 'MISSED'}"
        return line


@dataclass(frozen=True, slots=True)
class Missing:
    """A peer that could not be had here; it is named and never replaced by a guess."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: not measured, {self.why}"


@dataclass(frozen=True, slots=True)
class Version:
    """The version of something that was measured."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


Row = Claim | Missing | Version


def main(
    about: str | None, measure: Callable[[Effort], Iterable[Row]], *, full: Effort, smoke: Effort
) -> None:
    """Run the command line of one benchmark: print each row, and write all to a file.

    `--smoke` is the shortest form, to see that the script still works: its figures say nothing.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="the shortest form")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of load in each round")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    options = parser.parse_args()
    effort = smoke if options.smoke else full
    effort = replace(
        effort,
        rounds=options.rounds or effort.rounds,
        seconds=options.seconds or effort.seconds,
    )
    rows = []
    for row in measure(effort):
        print(row, flush=True)
        rows.append(row)
    if not any(isinstance(row, Claim) for row in rows):
        raise SystemExit("nothing was measured")
    if options.json is not None:
        options.json.write_text(json.dumps([_packed(row) for row in rows]), encoding="utf-8")


def read(file: Path) -> list[Row]:
    """Return the rows that a benchmark wrote with `--json`."""
    kinds: dict[str, type[Row]] = {kind.__name__: kind for kind in (Claim, Missing, Version)}
    rows: list[Row] = []
    for packed in json.loads(file.read_text(encoding="utf-8")):
        row = kinds[packed.pop("kind")](**packed)
        if isinstance(row, Claim) and row.bound is not None:
            row = Claim(**{**packed, "bound": Bound(row.bound)})
        rows.append(row)
    return rows


def _packed(row: Row) -> dict[str, object]:
    return {"kind": type(row).__name__, **asdict(row)}


def plain(number: float) -> str:
    """Three digits that mean something."""
    size = abs(number)
    if size >= 1000:
        return f"{number:,.0f}"
    return f"{number:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
