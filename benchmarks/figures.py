"""Values of the benchmarks: an effort, a figure with its rounds, what a scene has measured.

Pure: nothing here measures or prints.
"""

import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

_RESAMPLES = 2000
_TAIL = 0.025
"""Of the resampled medians, left out on either side: the interval holds 95 % of them."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The length of a measurement. Quick ones exercise the whole path and mean nothing."""

    quick: bool = False
    fixed_rounds: int | None = None
    against: str = ""
    """Another revision of this repository; only `compare` looks at it."""

    def rounds(self, full: int) -> int:
        """Return the number of interleaved rounds, of which `full` is the usual one."""
        if self.fixed_rounds is not None:
            return self.fixed_rounds
        return 1 if self.quick else full

    def seconds(self, full: float) -> float:
        """Return the length of one window, in seconds."""
        return 0.2 if self.quick else full

    def pick(self, full: int, quick: int) -> int:
        """Return the size of what is measured."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Figure:
    """One cell of a scene's table: a value for each round, or one over all of them."""

    row: str
    column: str
    values: tuple[float, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.row}, {self.column}: nothing was measured")

    @property
    def median(self) -> float:
        """The value that counts."""
        return statistics.median(self.values)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the median, by resampling the rounds; the same in every call."""
        chance = random.Random(0)
        count = len(self.values)
        medians = sorted(
            statistics.median(chance.choices(self.values, k=count)) for _ in range(_RESAMPLES)
        )
        cut = int(_RESAMPLES * _TAIL)
        return medians[cut], medians[-cut - 1]

    def __str__(self) -> str:
        text = number(self.median)
        if len(self.values) > 1:
            low, high = self.interval
            text += f" [{number(low)}, {number(high)}]"
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Measured:
    """The outcome of one scene: the cells of its table, and remarks for under it."""

    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()

    def find(self, row: str, column: str) -> Figure | None:
        """Return that cell, or None if it was not measured."""
        return next((f for f in self.figures if (f.row, f.column) == (row, column)), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scene that was run, and the machine around it."""

    scene: str
    title: str
    method: str
    seconds: float
    load: float
    """The load average of the minute before."""
    others: float | None
    """Share of all cores that other programs took meanwhile; None where it is unknown."""
    measured: Measured = field(default_factory=lambda: Measured(()))
    failure: str = ""


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> tuple[float, ...]:
    """Divide round by round: both were measured side by side."""
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))


def differences(ours: Iterable[float], theirs: Iterable[float]) -> tuple[float, ...]:
    """Subtract round by round."""
    return tuple(a - b for a, b in zip(ours, theirs, strict=True))


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def number(value: float) -> str:
    """Format with the digits that mean something: three of them."""
    size = abs(value)
    digits = 0 if size >= 100 or value == round(value) else 1 if size >= 10 else 2
    return f"{value:,.{3 if 0 < size < 0.1 else digits}f}"
