"""The commands about what was: `journal`, `receipt`, `logs`."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from parkmeter.cli.connection import chosen, gateway, only_endpoint, wrong_usage
from parkmeter.cli.options import AsJson, MaybeName, State, Url
from parkmeter.cli.output import Cell, columns, day_time, hours, minutes, money, out, plain_json

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, JournalLine, Receipt

_LOOK_SECONDS = 2.0

_COLOURS = {"failure": "red", "warning": "yellow", "ready": "green"}


def journal(
    name: MaybeName = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Who did what, when and why.

    The newest line comes last. Without a name: of all endpoints. As JSON: one line of
    the journal per line, with its endpoint.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        names = [endpoint.name for endpoint in chosen(client, name)]
        several = len(names) > 1
        newest = _in_order(line for one in names for line in client.journal(one, limit))
        _print_lines(newest[-limit:], several=several, as_json=as_json)
        seen = _last_numbers(newest, dict.fromkeys(names, 0))
        while follow:
            time.sleep(_LOOK_SECONDS)
            fresh = _in_order(line for one in names for line in _after(client, one, seen[one]))
            _print_lines(fresh, several=several, as_json=as_json)
            seen = _last_numbers(fresh, seen)


def receipt(
    name: MaybeName = None,
    *,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="ISO 8601, or a date; else all that is kept."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="ISO 8601, or a date; else now.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Hours on and what they cost.

    Also what always-on would have cost, and who bought the time. Without a name: of all endpoints,
    one after the other. A time without a zone is this machine's.
    """
    first, last = _moment(begin), _moment(end)
    if as_csv and as_json:
        raise wrong_usage("Say --csv or --json, not both.")
    with gateway(url, state, as_json=as_json, name=name) as client:
        for number, endpoint in enumerate(chosen(client, name)):
            if as_csv:
                headings, rows = _csv_parts(client.receipt_csv(endpoint.name, first, last))
                sys.stdout.write(rows if number else headings + rows)
                continue
            found = client.receipt(endpoint.name, first, last)
            if as_json:
                plain_json(found.raw)
                continue
            if number:
                out.print()
            from parkmeter.cli.watch import local_now

            for line in receipt_lines(found, local_now()):
                out.print(line)


def _csv_parts(document: str) -> tuple[str, str]:
    """The line of headings, and what follows: of several documents one is made."""
    headings, end, rows = document.partition("\r\n")
    return headings + end, rows


def logs(
    name: MaybeName = None,
    *,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many, to begin with.")
    ] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON text per line.")] = False,
    url: Url = None,
    state: State = None,
) -> None:
    """What an endpoint's server printed.

    Needs the scope admin. On AWS the last lines only: to follow them there, use `aws logs tail`.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        for line in client.logs(only_endpoint(client, name), lines, follow=follow):
            if as_json:
                plain_json(line)
            else:
                out.print(line, markup=False)


def receipt_lines(receipt: "Receipt", today: datetime) -> list[Text]:
    """A receipt as people read it; times in the zone of `today`."""
    span = f"{day_time(receipt.begin, today)} to {day_time(receipt.end, today)}"
    whole = receipt.end - receipt.begin
    title = Text.assemble((receipt.endpoint, "bold"), "  ", (span, "dim"))
    saved = _amounts(whole - receipt.on, receipt.saved)
    rows: list[list[Cell]] = [
        ["on", *_amounts(receipt.on, receipt.cost), *_at_least(receipt)],
        ["always on", *_amounts(whole, receipt.always_on_cost)],
        ["saved", *(Text(str(amount), "bold green") for amount in saved)],
    ]
    if receipt.unpriced:
        none = "in none of these sums"
        rows.append(["no price known", *_amounts(receipt.unpriced, None), none])
    if receipt.parts:
        rows.append([Text("by", "dim")])
    rows += [
        [
            part.who,
            *_amounts(part.on, part.cost),
            f"bought {minutes(part.bought).removeprefix('+')}",
        ]
        for part in receipt.parts
    ]
    if receipt.runs:
        rows.append([Text("runs", "dim")])
    rows += [
        [
            day_time(run.started, today),
            *_amounts(run.on, run.cost),
            "ended " + day_time(run.ended, today) if run.ended else "still on",
            run.variant or "",
        ]
        for run in receipt.runs
    ]
    return [title, *columns(rows)]


def _at_least(receipt: "Receipt") -> list[Cell]:
    """What is known of a cost that is not."""
    if receipt.cost is not None or receipt.known_cost is None:
        return []
    without = f"{hours(receipt.unpriced)} without a known price"
    return [f"at least {money(receipt.known_cost)}; {without}"]


def _amounts(span: timedelta, cost: Decimal | None) -> list[Cell]:
    return [hours(span).rjust(_WIDTH), money(cost).rjust(_WIDTH)]


_WIDTH = 10
"""Of an amount, so that points stand below each other."""


def _print_lines(lines: Iterable["JournalLine"], *, several: bool, as_json: bool) -> None:
    from parkmeter.cli.watch import local_now

    if as_json:
        for line in lines:
            plain_json({"endpoint": line.endpoint, **line.raw})
        return
    today = local_now()
    for text in columns(_cells(line, today, several=several) for line in lines):
        out.print(text)


def _cells(line: "JournalLine", today: datetime, *, several: bool) -> list[Cell]:
    return [
        day_time(line.at, today),
        *([line.endpoint] if several else []),
        Text(line.kind, _COLOURS.get(line.kind, "")),
        line.by,
        minutes(line.added) if line.added else "",
        line.why,
    ]


def _in_order(lines: Iterable["JournalLine"]) -> list["JournalLine"]:
    """Oldest first."""
    return sorted(lines, key=lambda line: (line.at, line.number))


def _last_numbers(lines: Iterable["JournalLine"], before: dict[str, int]) -> dict[str, int]:
    # Not that of the last line: an end may be noticed, and so numbered, after it happened.
    last = dict(before)
    for line in lines:
        last[line.endpoint] = max(last[line.endpoint], line.number)
    return last


def _after(client: "Client", name: str, number: int) -> Iterator["JournalLine"]:
    for line in client.journal(name):
        if line.number <= number:
            return
        yield line


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise wrong_usage(
            f"{text!r} is no time; one looks like 2026-11-01 or 2026-11-01T09:30."
        ) from None
