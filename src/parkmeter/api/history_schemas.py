"""What the routes of `history_routes` give, as JSON shapes. The examples are what the docs show."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Self

from pydantic import Field

from parkmeter.api.schemas import Dollars, Shape
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Status
from parkmeter.core.receipt import Receipt
from parkmeter.core.request_counts import Count
from parkmeter.core.status_history import StatusInterval


class JournalLine(Shape):
    """One line of the journal."""

    number: int = Field(description="Grows with every line of an endpoint.")
    at: datetime = Field(description="When it happened; an end may be noticed a little later.")
    kind: Kind
    by: str = Field(description="Name of the token, or parkmeter itself.")
    why: str
    minutes: float = Field(description="Added; negative: given up.")
    expires_at: datetime = Field(description="After this line.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The shape of an entry."""
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
    """The newest lines, newest first; `before` asks for the older ones, null at the end."""

    lines: list[JournalLine]
    before: int | None


class ReceiptPart(Shape):
    """What fell to one buyer: use of the time that this token bought."""

    who: str = Field(description="Name of the token, or parkmeter itself.", examples=["ada"])
    hours_on: float = Field(examples=[1.0])
    cost: Dollars | None = Field(description="Dollars.", examples=["7.0900"])
    minutes_bought: float = Field(
        description="Put on the meter in this period, used or not.", examples=[60.0]
    )


class ReceiptRun(Shape):
    """One life of the endpoint, as far as it fell into this period."""

    started: datetime = Field(description="Of the start call; may be before the period.")
    ended: datetime | None = Field(description="Null: still on at the period's end.")
    hours_on: float = Field(examples=[1.5])
    variant: str | None = Field(description="For example the instance type.", examples=["local"])
    cost: Dollars | None = Field(description="Dollars.", examples=["10.6350"])


class EndpointReceipt(Shape):
    """What an endpoint cost. Parts and runs each add up to the whole. Null: a price is unknown."""

    endpoint: str = Field(examples=["flan-t5"])
    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    hours_on: float = Field(examples=[1.5])
    price_per_hour: Dollars | None = Field(description="The present one.", examples=["7.09"])
    cost: Dollars | None = Field(
        description="Dollars, at the price of each moment.", examples=["10.6350"]
    )
    known_cost: Dollars | None = Field(
        description="What the hours with a known price cost.", examples=["10.6350"]
    )
    always_on_cost: Dollars | None = Field(
        description="Had it been on all the time.", examples=["170.1600"]
    )
    saved: Dollars | None = Field(description="The difference.", examples=["159.5250"])
    unpriced_hours: float = Field(description="Hours on without a known price.", examples=[0.0])
    parts: list[ReceiptPart]
    runs: list[ReceiptRun]

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """The shape of a receipt."""
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
            }
        )


def _hours(amount: timedelta) -> float:
    return amount.total_seconds() / 3600


class Interval(Shape):
    """A piece of time in which an endpoint was shown as one status."""

    status: Status = Field(examples=["running"])
    begin: datetime
    end: datetime
    reason: str = Field(description="Why it came to that.", examples=["ready after 12 s"])


class TopUpTick(Shape):
    """A moment at which time was put on the meter."""

    at: datetime
    minutes: float = Field(examples=[30.0])
    by: str | None = Field(description="null: somebody else.", examples=["ada"])


class Requests(Shape):
    """How many requests were let in during the `request_minutes` from `at` on."""

    at: datetime
    count: int = Field(examples=[42])


class Timeline(Shape):
    """An endpoint from one moment to another; the stretches have no gap between them."""

    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    stretches: list[Interval]
    top_ups: list[TopUpTick]
    request_minutes: int = Field(description="Each count is of so many minutes.", examples=[1])
    requests: list[Requests] | None = Field(
        description="Only what is not zero; null: it is not known."
    )

    @classmethod
    def of(
        cls,
        period: tuple[datetime, datetime],
        stretches: Iterable[StatusInterval],
        top_ups: Iterable[Entry],
        requests: tuple[timedelta, Iterable[Count] | None],
        *,
        names: Collection[str] | None,
    ) -> Self:
        """The shape of a timeline.

        `requests`: how long each slot is, and what they brought. `names`: who may be named; None:
        everybody.
        """
        slot, counts = requests
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
            }
        )
