"""Schemas of `history_routes`: journal, receipt (JSON and CSV) and timeline."""

import csv
import io
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self

from pydantic import Field

from parkmeter.api.schemas import Dollars, Shape
from parkmeter.api.usage_schemas import ReceiptUsage, TokensUsed
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Status
from parkmeter.core.receipt import QueueUse, Receipt
from parkmeter.core.request_counts import Count
from parkmeter.core.status_history import StatusInterval
from parkmeter.core.time_text import iso
from parkmeter.core.usage import UsedAt


class JournalLine(Shape):
    """One line of the journal."""

    number: int = Field(description="Grows with every line of an endpoint.")
    at: datetime = Field(description="Time of the event; an end may be noticed a little later.")
    kind: Kind
    by: str = Field(description="Name of the token, or parkmeter itself.")
    why: str
    minutes: float = Field(description="Added; negative: given up.")
    expires_at: datetime = Field(description="After this line.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return the shape of an entry."""
        return cls(
            number=entry.number,
            at=entry.at,
            kind=entry.kind,
            by=entry.who,
            why=entry.why,
            minutes=entry.amount.total_seconds() / 60,
            expires_at=entry.expires_at,
        )


class Journal(Shape):
    """A page of lines, newest first; pass `before` for the next page, null at the end."""

    lines: list[JournalLine]
    before: int | None


class ReceiptPart(Shape):
    """One buyer's share: use of the time that this token bought."""

    who: str = Field(description="Name of the token, or parkmeter itself.", examples=["ada"])
    hours_on: float = Field(examples=[1.0])
    cost: Dollars | None = Field(description="Dollars.", examples=["7.0900"])
    minutes_bought: float = Field(
        description="Added to the meter in this period, used or not.", examples=[60.0]
    )


class ReceiptRun(Shape):
    """One run of the endpoint, as far as it lies in this period."""

    started: datetime = Field(description="Time of the start call; may be before the period.")
    ended: datetime | None = Field(description="null: still on at the period's end.")
    hours_on: float = Field(examples=[1.5])
    variant: str | None = Field(description="For example the instance type.", examples=["local"])
    cost: Dollars | None = Field(description="Dollars.", examples=["10.6350"])


class ReceiptQueue(Shape):
    """Instances behind the endpoint's queue, on AWS; in none of the receipt's sums."""

    hours_on: float = Field(description="Of all instances together.", examples=[0.5])
    cost: Dollars | None = Field(description="Dollars, at today's price.", examples=["3.5450"])


class EndpointReceipt(Shape):
    """Cost of an endpoint. Parts and runs each add up to the whole. null: a price is unknown."""

    endpoint: str = Field(examples=["flan-t5"])
    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    hours_on: float = Field(examples=[1.5])
    price_per_hour: Dollars | None = Field(description="The present price.", examples=["7.09"])
    cost: Dollars | None = Field(
        description="Dollars, at the price of each moment.", examples=["10.6350"]
    )
    known_cost: Dollars | None = Field(
        description="Cost of the hours with a known price.", examples=["10.6350"]
    )
    always_on_cost: Dollars | None = Field(
        description="Cost of being on all the time.", examples=["170.1600"]
    )
    saved: Dollars | None = Field(description="The difference.", examples=["159.5250"])
    unpriced_hours: float = Field(description="Hours on without a known price.", examples=[0.0])
    parts: list[ReceiptPart]
    runs: list[ReceiptRun]
    queue: ReceiptQueue | None = Field(description="null: no queue, or not used.")
    usage: ReceiptUsage | None = Field(description="null: usage was not counted then, or here.")

    @classmethod
    def of(
        cls, receipt: Receipt, queue: QueueUse | None = None, usage: ReceiptUsage | None = None
    ) -> Self:
        """Return the shape of a receipt, and of its queue's use in the same period."""
        used = queue and ReceiptQueue(hours_on=_hours(queue.time_on), cost=queue.cost)
        parts = [
            ReceiptPart(
                who=part.who,
                hours_on=_hours(part.time_on),
                cost=part.cost,
                minutes_bought=part.bought.total_seconds() / 60,
            )
            for part in receipt.parts
        ]
        runs = [
            ReceiptRun(
                started=run.started,
                ended=run.ended,
                hours_on=_hours(run.time_on),
                variant=run.variant,
                cost=run.cost,
            )
            for run in receipt.runs
        ]
        return cls.model_validate(
            {
                "endpoint": receipt.endpoint,
                "from": receipt.begin,
                "to": receipt.end,
                "hours_on": _hours(receipt.time_on),
                "price_per_hour": receipt.price_per_hour,
                "cost": receipt.cost,
                "known_cost": receipt.known_cost,
                "always_on_cost": receipt.always_on_cost,
                "saved": receipt.saved,
                "unpriced_hours": _hours(receipt.unpriced),
                "parts": parts,
                "runs": runs,
                "queue": used,
                "usage": usage,
            }
        )


def _hours(amount: timedelta) -> float:
    return amount.total_seconds() / 3600


_HEADINGS = (
    "row",
    "endpoint",
    "from",
    "to",
    "who",
    "hours_on",
    "cost",
    "minutes_bought",
    "always_on_cost",
    "saved",
    "unpriced_hours",
    "known_cost",
)
"""`row` is buyer, total or queue, so that no name can be taken for the total."""

_FORMULA = tuple("=+-@\t\r")
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


def receipt_csv(receipt: Receipt, queue: QueueUse | None = None) -> str:
    """Return a receipt as CSV (RFC 4180), with headings: a row for each buyer, then the total.

    Its queue's use, if any, is in a row after the total, which does not contain it. Money is text
    with all its digits; an unknown value is empty.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(_HEADINGS)
    period = (receipt.endpoint, iso(receipt.begin), iso(receipt.end))
    for part in receipt.parts:
        of_part = (_count(part.time_on, _HOUR), _dollars(part.cost), _count(part.bought, _MINUTE))
        rows.writerow(("buyer", *period, _safe(part.who), *of_part, "", "", "", ""))
    bought = sum((part.bought for part in receipt.parts), timedelta(0))
    rows.writerow(
        (
            "total",
            *period,
            "",
            _count(receipt.time_on, _HOUR),
            _dollars(receipt.cost),
            _count(bought, _MINUTE),
            _dollars(receipt.always_on_cost),
            _dollars(receipt.saved),
            _count(receipt.unpriced, _HOUR),
            _dollars(receipt.known_cost),
        )
    )
    if queue is not None:
        used = (_count(queue.time_on, _HOUR), _dollars(queue.cost))
        rows.writerow(("queue", *period, "", *used, "", "", "", "", ""))
    return text.getvalue()


def _dollars(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _count(amount: timedelta, unit: timedelta) -> str:
    return f"{amount / unit:.6f}"


def _safe(name: str) -> str:
    """Return a name that no spreadsheet runs as a formula: token names are others' input."""
    return f"'{name}" if name.startswith(_FORMULA) else name


class Interval(Shape):
    """An interval with one status."""

    status: Status = Field(examples=["running"])
    begin: datetime
    end: datetime
    reason: str = Field(description="Reason of the status.", examples=["ready after 12 s"])


class TopUpTick(Shape):
    """Time added to the meter."""

    at: datetime
    minutes: float = Field(examples=[30.0])
    by: str | None = Field(description="null: another token.", examples=["ada"])


class Requests(Shape):
    """Number of requests let in during the `request_minutes` from `at` on."""

    at: datetime
    count: int = Field(examples=[42])


class Timeline(Shape):
    """An endpoint from one moment to another; its stretches have no gaps."""

    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    stretches: list[Interval]
    top_ups: list[TopUpTick]
    request_minutes: int = Field(description="Minutes of each count.", examples=[1])
    requests: list[Requests] | None = Field(description="Counts above zero; null: unknown.")
    tokens: list[TokensUsed] | None = Field(
        description="Of answers that said what they used; null: not counted here (AWS)."
    )

    @classmethod
    def of(
        cls,
        period: tuple[datetime, datetime],
        stretches: Iterable[StatusInterval],
        top_ups: Iterable[Entry],
        counted: tuple[timedelta, Iterable[Count] | None, Iterable[UsedAt] | None],
        *,
        names: Collection[str] | None,
    ) -> Self:
        """Return the shape of a timeline.

        `counted`: the length of a slot, the requests and their usage. `names`: the buyers that may
        be named; None: all.
        """
        slot, counts, used = counted
        return cls.model_validate(
            {
                "from": period[0],
                "to": period[1],
                "stretches": [
                    Interval(status=one.status, begin=one.begin, end=one.end, reason=one.reason)
                    for one in stretches
                ],
                "top_ups": [
                    TopUpTick(
                        at=entry.at,
                        minutes=entry.amount.total_seconds() / 60,
                        by=entry.who if names is None or entry.who in names else None,
                    )
                    for entry in top_ups
                ],
                "request_minutes": slot // timedelta(minutes=1),
                "requests": None
                if counts is None
                else [Requests(at=one.at, count=one.count) for one in counts],
                "tokens": None
                if used is None
                else [TokensUsed.of(one) for one in used if one.used.answers],
            }
        )
