"""What the gateway answers, as values. Pure.

Times are aware datetimes in UTC, spans are timedeltas, money is `Decimal` dollars; an unknown price
is None, never zero. Each has `raw`, the JSON it was made from, with what is not known here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

Json = Mapping[str, Any]


class Written(float):
    """A fraction in JSON, with the `text` it was: money does not pass through binary."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """As `json` calls it for each (`parse_float`)."""
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    raw: Json = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(_Answer):
    """One endpoint as it was when asked.

    `status`: stopped, starting, running, stopping or failed. `left`: until `closes_at`, never
    negative. `closes_at` differs from `expires_at` only while a start is under way. Both are None
    before the first top-up. `since`: the start of the run that exists now. `hours`: when it runs by
    itself, None: never; `window_until`: the end of the window that is on, if one is; `held`: it was
    ejected in that one. `warn_before`: how long before the close people are warned;
    `extend_by`: what the link in such a warning adds.
    """

    name: str
    status: str
    reason: str
    expires_at: datetime | None
    closes_at: datetime | None
    left: timedelta
    price_per_hour: Decimal | None
    cost_so_far: Decimal | None
    api_resource: str
    since: datetime | None
    attempts: int
    next_try: datetime | None
    warn_before: tuple[timedelta, ...]
    extend_by: timedelta
    hours: str | None = None
    window_until: datetime | None = None
    next_window_at: datetime | None = None
    held: bool = False

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            name=raw["name"],
            status=raw["status"],
            reason=raw["reason"],
            expires_at=_moment(raw.get("expires_at")),
            closes_at=_moment(raw.get("closes_at")),
            left=timedelta(seconds=raw["seconds_left"]),
            price_per_hour=_money(raw.get("price_per_hour")),
            cost_so_far=_money(raw.get("cost_so_far")),
            api_resource=raw["api_resource"],
            since=_moment(raw.get("since")),
            attempts=raw.get("attempts", 0),
            next_try=_moment(raw.get("next_try")),
            hours=raw.get("hours"),
            window_until=_moment(raw.get("window_until")),
            next_window_at=_moment(raw.get("next_window_at")),
            held=raw.get("held", False),
            warn_before=tuple(timedelta(minutes=m) for m in raw.get("warn_minutes", (10, 2))),
            extend_by=timedelta(minutes=raw.get("extend_minutes", 30)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(_Answer):
    """What came of a top-up or an eject. `added` is negative where time was given up.

    `dollars`: what that time costs; None: unknown.
    """

    endpoint: str
    added: timedelta
    dollars: Decimal | None
    expires_at: datetime
    closes_at: datetime
    left: timedelta
    status: str
    at: datetime
    by: str

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            endpoint=raw["endpoint"],
            added=timedelta(minutes=raw["minutes"]),
            dollars=_money(raw.get("dollars")),
            expires_at=_time(raw["expires_at"]),
            closes_at=_time(raw["closes_at"]),
            left=timedelta(seconds=raw["seconds_left"]),
            status=raw["status"],
            at=_time(raw["at"]),
            by=raw["by"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine(_Answer):
    """One line of an endpoint's journal; `expires_at` is the expiry after it."""

    endpoint: str
    number: int
    at: datetime
    kind: str
    by: str
    why: str
    added: timedelta
    expires_at: datetime

    @classmethod
    def of(cls, endpoint: str, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            endpoint=endpoint,
            number=raw["number"],
            at=_time(raw["at"]),
            kind=raw["kind"],
            by=raw["by"],
            why=raw["why"],
            added=timedelta(minutes=raw["minutes"]),
            expires_at=_time(raw["expires_at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPart(_Answer):
    """What one person's time came to. The parts of a receipt add up to the whole."""

    who: str
    on: timedelta
    cost: Decimal | None
    bought: timedelta

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            who=raw["who"],
            on=timedelta(hours=raw["hours_on"]),
            cost=_money(raw.get("cost")),
            bought=timedelta(minutes=raw.get("minutes_bought", 0)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRun(_Answer):
    """One run within the time of a receipt; `ended` None: it goes on."""

    started: datetime
    ended: datetime | None
    on: timedelta
    variant: str | None
    cost: Decimal | None

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            started=_time(raw["started"]),
            ended=_moment(raw.get("ended")),
            on=timedelta(hours=raw["hours_on"]),
            variant=raw.get("variant"),
            cost=_money(raw.get("cost")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(_Answer):
    """What an endpoint cost from `begin` to `end`, and what always-on would have.

    `unpriced`: hours on at times whose price is unknown; they are in no sum of money. `known_cost`:
    what the others cost, None if unknown.
    """

    endpoint: str
    begin: datetime
    end: datetime
    on: timedelta
    price_per_hour: Decimal | None
    cost: Decimal | None
    known_cost: Decimal | None
    always_on_cost: Decimal | None
    saved: Decimal | None
    unpriced: timedelta
    parts: tuple[ReceiptPart, ...]
    runs: tuple[ReceiptRun, ...]

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(
            raw=raw,
            endpoint=raw["endpoint"],
            begin=_time(raw["from"]),
            end=_time(raw["to"]),
            on=timedelta(hours=raw["hours_on"]),
            price_per_hour=_money(raw.get("price_per_hour")),
            cost=_money(raw.get("cost")),
            known_cost=_money(raw.get("known_cost")),
            always_on_cost=_money(raw.get("always_on_cost")),
            saved=_money(raw.get("saved")),
            unpriced=timedelta(hours=raw.get("unpriced_hours", 0)),
            parts=tuple(map(ReceiptPart.of, raw.get("parts", ()))),
            runs=tuple(map(ReceiptRun.of, raw.get("runs", ()))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(_Answer):
    """A token, without its secret. `endpoints` None: all; `expires_at` None: never."""

    id: str
    name: str
    scopes: tuple[str, ...]
    endpoints: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    minutes_per_day: float | None

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(raw=raw, **_token_fields(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken(Token):
    """A token just made. `secret` is shown this once: what clients send as Authorization."""

    secret: str = field(repr=False)

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(raw=raw, secret=raw["token"], **_token_fields(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(_Answer):
    """The gateway answers."""

    status: str
    version: str

    @classmethod
    def of(cls, raw: Json) -> Self:
        """From the API's JSON."""
        return cls(raw=raw, status=raw["status"], version=raw["version"])


def _token_fields(raw: Json) -> dict[str, Any]:
    endpoints = raw.get("endpoints")
    return {
        "id": raw["id"],
        "name": raw["name"],
        "scopes": tuple(raw["scopes"]),
        "endpoints": None if endpoints is None else tuple(endpoints),
        "created_at": _time(raw["created_at"]),
        "expires_at": _moment(raw.get("expires_at")),
        "minutes_per_day": raw.get("minutes_per_day"),
    }


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _money(value: str | float | None) -> Decimal | None:
    match value:
        case None:
            return None
        case Written():
            return Decimal(value.text)
        case _:
            return Decimal(str(value))
