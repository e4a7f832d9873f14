"""The outcomes as text: sections and the table of promises, in Markdown that is aligned."""

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.figures import Measured, Outcome, number
from benchmarks.promises import Verdict


def page(
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    facts: Mapping[str, str],
    notes: str,
) -> str:
    """Return the page of results; `notes` is written by hand and stands at its end."""
    met = sum(str(one) == "met" for one in verdicts)
    parts = [
        "# Performance",
        f"Written by one command, `make bench`. Of {len(verdicts)} promises {met} are met.",
        "\n".join(f"* {name}: {fact}" for name, fact in facts.items()),
        "## Promises",
        promised(verdicts),
        *map(section, outcomes),
        notes.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def promised(verdicts: Sequence[Verdict]) -> str:
    """Return the table of promises."""
    head = ("promise", "measured", "spread", "wanted", "", "load, others")
    return _table(head, [tuple(_verdict(one)) for one in verdicts])


def section(outcome: Outcome) -> str:
    """Return one scene: its title, how it was measured, its table, its remarks."""
    around = f"({_around(outcome)}; {outcome.seconds:.0f} s)"
    parts = [f"## {outcome.title}", f"{outcome.method} {around}".strip()]
    if outcome.failure:
        parts.append(f"**Failed:** {outcome.failure}")
    else:
        parts.append(_pivot(outcome.measured))
    parts.append("\n".join(f"* {remark}" for remark in outcome.measured.remarks))
    return "\n\n".join(part for part in parts if part)


def _verdict(one: Verdict) -> Iterator[str]:
    figure, spread, unit = one.figure, "", ""
    if figure is not None:
        unit = figure.unit
        if len(figure.values) > 1:
            spread = f"{number(min(figure.values))} to {number(max(figure.values))}"
    yield one.promise.words
    yield "" if figure is None else str(figure)
    yield spread
    yield f"{one.promise.limit} {unit}".strip()
    yield str(one)
    yield _around(one.outcome)


def _around(outcome: Outcome) -> str:
    others = "unknown" if outcome.others is None else f"{outcome.others:.0%}"
    return f"load {outcome.load:.1f}, others {others}"


def _pivot(measured: Measured) -> str:
    """Return a table with a line for each row, columns as they first came."""
    rows = dict.fromkeys(one.row for one in measured.figures)
    columns = tuple(dict.fromkeys(one.column for one in measured.figures))
    cells = {(one.row, one.column): str(one) for one in measured.figures}
    lines = [(row, *(cells.get((row, column), "") for column in columns)) for row in rows]
    return _table(("", *columns), lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(3, *map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)
