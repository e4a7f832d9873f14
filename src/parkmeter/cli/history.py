"""The commands `journal`, `receipt`, `usage` and `logs`."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from parkmeter.cli.command import Option
from parkmeter.cli.connection import chosen, gateway, only_endpoint, wrong_usage
from parkmeter.cli.options import AsJson, MaybeName, State, Url
from parkmeter.cli.output import (
    Cell,
    columns,
    day_time,
    harmless,
    hours,
    local_now,
    minutes,
    money,
    out,
    plain_json,
    rounded,
)
from parkmeter.core.meter import MAKE_BELIEVE
from parkmeter.core.money import written
from parkmeter.core.time_text import duration

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, JournalLine, Receipt, Usage, UsagePart

_POLL_SECONDS = 2.0

_COLOURS = {"failure": "red", "warning": "yellow", "ready": "green"}


def journal(
    name: MaybeName = None,
    *,
    limit: Annotated[int, Option("--limit -n", minimum=1, help="Number of lines.")] = 20,
    follow: Annotated[bool, Option("--follow -f", help="Print new lines until Ctrl-C.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show who changed what, when and why.

    The newest line comes last. Without NAME: of all endpoints. With --json: one entry per line.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        names = [endpoint.name for endpoint in chosen(client, name)]
        several = len(names) > 1
        newest = _in_order(line for one in names for line in client.journal(one, limit))
        _print_lines(newest[-limit:], several=several, as_json=as_json)
        seen = _last_numbers(newest, dict.fromkeys(names, 0))
        while follow:
            time.sleep(_POLL_SECONDS)
            fresh = _in_order(line for one in names for line in _after(client, one, seen[one]))
            _print_lines(fresh, several=several, as_json=as_json)
            seen = _last_numbers(fresh, seen)


_To = Annotated[
    str | None, Option("--to", metavar="TIME", help="Date or ISO 8601 time. Default: now.")
]


def receipt(
    name: MaybeName = None,
    *,
    begin: Annotated[
        str | None,
        Option("--from", metavar="TIME", help="Date or ISO 8601 time. Default: first entry."),
    ] = None,
    end: _To = None,
    as_csv: Annotated[bool, Option("--csv", help="Print CSV for spreadsheets.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show the hours on and their cost.

    Also the cost of always-on, and who bought the time. Without NAME: of all endpoints, one after
    the other. A time without a zone is in this machine's.
    """
    first, last = _parse_time(begin), _parse_time(end)
    if as_csv and as_json:
        raise wrong_usage("Give either --csv or --json, not both.")
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
            for line in receipt_lines(found, local_now(), endpoint.raw.get("price_source")):
                out.print(line)


def usage(
    name: MaybeName = None,
    *,
    begin: Annotated[
        str | None,
        Option("--from", metavar="TIME", help="Date or ISO 8601 time. Default: the first counted."),
    ] = None,
    end: _To = None,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show the model's tokens that answers used, by who asked.

    As the model's server counted them. Without the scope admin only your own. Without NAME: of all
    endpoints, one after the other.
    """
    first, last = _parse_time(begin), _parse_time(end)
    with gateway(url, state, as_json=as_json, name=name) as client:
        for number, endpoint in enumerate(chosen(client, name)):
            found = client.usage(endpoint.name, first, last)
            if as_json:
                plain_json(found.raw)
                continue
            if number:
                out.print()
            for line in usage_lines(found, local_now()):
                out.print(line)


def _csv_parts(document: str) -> tuple[str, str]:
    """Return the line of headings and the rest, to join several documents."""
    headings, end, rows = document.partition("\r\n")
    return headings + end, rows


def logs(
    name: MaybeName = None,
    *,
    lines: Annotated[
        int, Option("--lines -n", minimum=1, maximum=10_000, help="Number of lines to begin with.")
    ] = 200,
    follow: Annotated[bool, Option("--follow -f", help="Print new lines until Ctrl-C.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print each line as a JSON text.")] = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show the output of an endpoint's server.

    Needs the scope admin. On AWS only the last lines; to follow them there use `aws logs tail`.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        for line in client.logs(only_endpoint(client, name), lines, follow=follow):
            if as_json:
                plain_json(line)
            else:
                out.print(harmless(line), markup=False)


def receipt_lines(
    receipt: "Receipt", today: datetime, price_source: str | None = None
) -> list[Text]:
    """Return a receipt as lines of text; times in the zone of `today`.

    `price_source`: of the present price; one that is make-believe is marked.
    """
    span = f"{day_time(receipt.begin, today)} to {day_time(receipt.end, today)}"
    whole = receipt.end - receipt.begin
    title = Text.assemble((receipt.endpoint, "bold"), "  ", (span, "dim"))
    saved = _amounts(whole - receipt.on, receipt.saved)
    rows: list[list[Cell]] = [
        ["on", *_amounts(receipt.on, receipt.cost), *_at_least(receipt)],
        ["always on", *_amounts(whole, receipt.always_on_cost)],
        ["saved", *(Text(str(amount), "bold green") for amount in saved)],
    ]
    if receipt.queue is not None:
        used = _amounts(receipt.queue.on, receipt.queue.cost)
        rows.append(["its queue", *used, "not in the totals"])
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
    notes = _price_notes(receipt, price_source)
    return [title, *notes, *columns(rows), *_tokens_used(receipt)]


def usage_lines(usage: "Usage", today: datetime) -> list[Text]:
    """Return usage as lines of text; times in the zone of `today`."""
    span = f"{day_time(usage.begin, today)} to {day_time(usage.end, today)}"
    title = Text.assemble((usage.endpoint, "bold"), "  ", (span, "dim"))
    if usage.since is None:
        return [title, Text("not counted by this gateway", "yellow")]
    rows: list[list[Cell]] = [["", *(Text(head, "dim") for head in _USAGE_HEADS)]]
    rows += [[part.who, *_numbers(part)] for part in usage.parts]
    if len(usage.parts) > 1:
        rows.append([Text("all", "dim"), *_numbers(usage)])
    return [title, *columns(rows)] if usage.parts else [title, Text("no answers", "dim")]


def _numbers(used: "Usage | UsagePart") -> list[Cell]:
    numbers = (used.input_tokens, used.output_tokens, used.answers, used.unknown)
    return ["unknown" if number is None else f"{number:,}" for number in numbers]


_USAGE_HEADS = ("input", "output", "answers", "more without usage")


def _tokens_used(receipt: "Receipt") -> list[Text]:
    """Return a line with what the answers used and what a million tokens cost, where known."""
    used = receipt.usage
    if used is None or used.input_tokens is None or used.output_tokens is None:
        return []
    line = f"{rounded(used.input_tokens + used.output_tokens)} tokens"
    if used.cost_per_million is not None:
        most = "at most " if used.unknown else ""
        line += f": {most}{money(used.cost_per_million)} a million at these hours' price"
    if used.unknown:
        line += f" ({used.unknown:,} answers did not say)"
    return [Text(line)]


def _price_notes(receipt: "Receipt", source: str | None) -> list[Text]:
    notes = []
    if source == MAKE_BELIEVE and receipt.price_per_hour is not None:
        price = written(receipt.price_per_hour)
        notes.append(Text(f"Not real money: {source}, {price} an hour.", "yellow"))
    if receipt.unpriced:
        unpriced = f"{hours(receipt.unpriced)} without a known price (not in the totals)"
        notes.append(Text(unpriced, "yellow"))
    return notes


def _at_least(receipt: "Receipt") -> list[Cell]:
    """Return the known part of a cost that is not known as a whole."""
    if receipt.cost is not None or receipt.known_cost is None:
        return []
    return [f"at least {money(receipt.known_cost)}"]


def _amounts(span: timedelta, cost: Decimal | None) -> list[Cell]:
    return [hours(span).rjust(_WIDTH), money(cost).rjust(_WIDTH)]


_WIDTH = 10
"""Of an amount, so that decimal points align."""


def _print_lines(lines: Iterable["JournalLine"], *, several: bool, as_json: bool) -> None:
    if as_json:
        for line in lines:
            plain_json({"endpoint": line.endpoint, **line.raw})
        return
    today = local_now()
    for text in columns(_cells(line, today, several=several) for line in lines):
        out.print(text)


def _cells(line: "JournalLine", today: datetime, *, several: bool) -> list[Cell]:
    added = minutes(line.added) if line.added else ""
    return [
        day_time(line.at, today),
        *([line.endpoint] if several else []),
        Text(line.kind, _COLOURS.get(line.kind, "")),
        line.by,
        added,
        _without_amount(line.why, line.added),
    ]


def _without_amount(why: str, added: timedelta) -> str:
    """Return the text without the minutes that it begins with: they have a column."""
    for amount in (minutes(abs(added)).removeprefix("+"), duration(abs(added))):
        why = why.removeprefix(amount).lstrip()
    return why


def _in_order(lines: Iterable["JournalLine"]) -> list["JournalLine"]:
    """Return the lines with the oldest first."""
    return sorted(lines, key=lambda line: (line.at, line.number))


def _last_numbers(lines: Iterable["JournalLine"], before: dict[str, int]) -> dict[str, int]:
    # The highest, not the last: a stop may be noticed, and so numbered, after it happened.
    last = dict(before)
    for line in lines:
        last[line.endpoint] = max(last[line.endpoint], line.number)
    return last


def _after(client: "Client", name: str, number: int) -> Iterator["JournalLine"]:
    for line in client.journal(name):
        if line.number <= number:
            return
        yield line


def _parse_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise wrong_usage(
            f"{text!r} is not a time. Examples: 2026-11-01, 2026-11-01T09:30."
        ) from None
