"""The outcomes as one table, on the terminal and in Markdown. Measures nothing, reads no clock."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from benchmarks.report import Claim, Missing, Version, plain
from benchmarks.running import in_short
from benchmarks.running.scripts import Outcome

HEAD = ("claim", "figure", "median", "spread", "target", "")
COMPARED = HEAD[:4]

Cells = tuple[str, ...]
Kind = TypeVar("Kind", Claim, Missing, Version)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the claims that have a target and the scripts that failed, in aligned columns."""
    rows = [HEAD, *_targets(outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def page(outcomes: Sequence[Outcome], facts: Mapping[str, str], reading: str, profiles: str) -> str:
    """Return all results as a page of Markdown; `facts` stand near its head, in their order.

    `reading`: how to read it. `profiles`: what is behind it.
    """
    loads = [(one.script, one.load, f"{one.seconds:.0f} s") for one in outcomes]
    targets = _targets(outcomes)
    parts = [
        "# Results of the benchmarks",
        "Written by `make bench`; these figures first, all of them below.",
        _markdown(in_short.HEAD, in_short.in_short(targets)),
        "## How to read this",
        reading.strip(),
        "\n".join(f"* {name}: {fact}" for name, fact in facts.items()),
        "## Claims",
        _markdown(HEAD, targets),
        "## For comparison",
        _markdown(COMPARED, _comparisons(outcomes)),
        "## Not measured",
        "\n".join(f"* {row}" for row in _of(outcomes, Missing)) or "Nothing is missing.",
        "## Measured against",
        "\n".join(f"* {row}" for row in _of(outcomes, Version)),
        "## Load on the machine before each script",
        _markdown(("script", "load average", "took"), loads),
        "## What profiles told",
        profiles.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _targets(outcomes: Sequence[Outcome]) -> list[Cells]:
    rows: list[Cells] = []
    for outcome in outcomes:
        if outcome.failure:
            rows.append((outcome.script, "", "", "", "", f"FAILED: {outcome.failure}"))
        for row in outcome.rows:
            if isinstance(row, Claim) and row.bound is not None:
                target = f"{row.bound} {plain(row.target)} {row.unit}".rstrip()
                rows.append((*_cells(row), target, "met" if row.met else "MISSED"))
    return rows


def _comparisons(outcomes: Sequence[Outcome]) -> list[Cells]:
    return [_cells(row) for row in _of(outcomes, Claim) if row.bound is None]


def _cells(claim: Claim) -> Cells:
    spread = f"{plain(min(claim.values))} to {plain(max(claim.values))}"
    median = f"{plain(claim.median)} {claim.unit}".rstrip()
    return claim.subject, claim.figure, median, spread


def _of(outcomes: Sequence[Outcome], kind: type[Kind]) -> Iterator[Kind]:
    return (row for outcome in outcomes for row in outcome.rows if isinstance(row, kind))


def _markdown(head: Cells, rows: Sequence[Cells]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
