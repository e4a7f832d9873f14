"""The number of random cases that tests tried: reported by each, printed at the end of a run."""

from collections import Counter
from typing import Any

CASES = "random cases of "
"""Prefix of the property under which a test reports its number."""


def print_counts(terminal: Any) -> None:
    """Print the numbers of a run's tests, by what the cases were for."""
    counts: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminal.getreports(outcome):
            for name, value in report.user_properties:
                if name.startswith(CASES):
                    counts[name.removeprefix(CASES)] += value
    if counts:
        terminal.section("random cases")
        for name, count in sorted(counts.items()):
            terminal.line(f"{count:>9,} of {name}")
        terminal.line(f"{counts.total():>9,} in all")
