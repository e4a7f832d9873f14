"""The gateway's answers as values. Pure.

Times are aware datetimes in UTC, spans are timedeltas, money is `Decimal` dollars; an unknown price
is None, never zero. Each has `raw`, the JSON it was made from, including members unknown here.

A field's name is its JSON name and its value is taken unchanged, unless its `Annotated` states
another name or a reader; a field with a default may be absent in the JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self

Json = Mapping[str, Any]


class Written(float):
    """A fraction in JSON with its `text`: money does not pass through binary."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Return a fraction; for `json` as `parse_float`."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _dollars(value: str | float | None) -> Decimal | None:
    match value:
        case None:
            return None
        case Written():
            return Decimal(value.text)
        case _:
            return Decimal(str(value))


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def _minutes_each(numbers: list[float]) -> tuple[timedelta, ...]:
    return tuple(map(_minutes, numbers))


def _hours(number: float) -> timedelta:
    return timedelta(hours=number)


def _texts(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


Time = Annotated[datetime, _time]
TimeOrNone = Annotated[datetime | None, _time_or_none]
Dollars = Annotated[Decimal | None, _dollars]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json, **known: Any) -> Self:
        """Return the value of the API's JSON; `known` fields are not in the JSON.

        Raises:
            LookupError, TypeError, ValueError, ArithmeticError: this is not the API's JSON.

        """
        values = dict(known)
        for one in fields(cls):
            name, read = json_of(one)
            if one.name == "raw" or one.name in known:
                continue
            if name in raw:
                values[one.name] = read(raw[name])
            elif one.default is MISSING:
                raise KeyError(name)
        return cls(raw=raw, **values)


def json_of(one: Field[Any]) -> tuple[str, Callable[[Any], Any]]:
    """Return the name of a model's field in the JSON, and its reader."""
    stated = getattr(one.type, "__metadata__", ())
    names = [part for part in stated if isinstance(part, str)]
    readers = [part for part in stated if callable(part)]
    return (names or [one.name])[0], (readers or [lambda value: value])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(_Answer):
    """An endpoint at the time of the request.

    `status`: stopped, starting, running, stopping or failed. `left`: until `closes_at`, never
    negative. `closes_at` differs from `expires_at` only during a start. Both are None before the
    first top-up. `since`: start of the present run. `hours`: its schedule or None; `window_until`:
    end of the current window or None; `held`: it was ejected in that window. `warn_before`: times
    of the warnings before the close; `extend_by`: added by the link in a warning.
    """

    name: str
    status: str
    reason: str
    expires_at: TimeOrNone = None
    closes_at: TimeOrNone = None
    left: Annotated[timedelta, _seconds, "seconds_left"]
    price_per_hour: Dollars = None
    cost_so_far: Dollars = None
    api_resource: str
    since: TimeOrNone = None
    attempts: int = 0
    next_try: TimeOrNone = None
    warn_before: Annotated[tuple[timedelta, ...], _minutes_each, "warn_minutes"] = (
        timedelta(minutes=10),
        timedelta(minutes=2),
    )
    extend_by: Annotated[timedelta, _minutes, "extend_minutes"] = timedelta(minutes=30)
    hours: str | None = None
    window_until: TimeOrNone = None
    next_window_at: TimeOrNone = None
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(_Answer):
    """Result of a top-up or an eject. `added` is negative where time was given up.

    `dollars`: cost of that time; None: unknown.
    """

    endpoint: str
    added: Annotated[timedelta, _minutes, "minutes"]
    dollars: Dollars = None
    expires_at: Time
    closes_at: Time
    left: Annotated[timedelta, _seconds, "seconds_left"]
    status: str
    at: Time
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine(_Answer):
    """A line of an endpoint's journal; `expires_at` is the expiry after it."""

    endpoint: str
    number: int
    at: Time
    kind: str
    by: str
    why: str
    added: Annotated[timedelta, _minutes, "minutes"]
    expires_at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPart(_Answer):
    """One buyer's share. The parts of a receipt add up to the whole."""

    who: str
    on: Annotated[timedelta, _hours, "hours_on"]
    cost: Dollars = None
    bought: Annotated[timedelta, _minutes, "minutes_bought"] = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRun(_Answer):
    """One run within the period of a receipt; `ended` None: still on."""

    started: Time
    ended: TimeOrNone = None
    on: Annotated[timedelta, _hours, "hours_on"]
    variant: str | None = None
    cost: Dollars = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptQueue(_Answer):
    """Instances behind an endpoint's queue on AWS, which are in none of the receipt's sums."""

    on: Annotated[timedelta, _hours, "hours_on"]
    cost: Dollars = None


def _queue(raw: Json | None) -> ReceiptQueue | None:
    return None if raw is None else ReceiptQueue.of(raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptUsage(_Answer):
    """Tokens of the model in a receipt's period, from `since` on. None: unknown, never zero.

    `answers` said what they used, `unknown` others did not. `cost_per_million`: dollars by the
    million tokens known.
    """

    since: Time
    input_tokens: int | None = None
    output_tokens: int | None = None
    answers: int = 0
    unknown: int = 0
    cost_per_million: Dollars = None


def _receipt_usage(raw: Json | None) -> ReceiptUsage | None:
    return None if raw is None else ReceiptUsage.of(raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart(_Answer):
    """What the answers to one token used, as in `ReceiptUsage`; `who`: its name."""

    who: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    answers: int = 0
    unknown: int = 0


def _usage_parts(raw: list[Json]) -> tuple[UsagePart, ...]:
    return tuple(map(UsagePart.of, raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(_Answer):
    """What the answers of an endpoint used; without the scope `admin` only your own.

    `since`: time from which it is counted; None where it is not.
    """

    endpoint: str
    begin: Annotated[datetime, _time, "from"]
    end: Annotated[datetime, _time, "to"]
    since: TimeOrNone = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    answers: int = 0
    unknown: int = 0
    parts: Annotated[tuple[UsagePart, ...], _usage_parts] = ()


def _parts(raw: list[Json]) -> tuple[ReceiptPart, ...]:
    return tuple(map(ReceiptPart.of, raw))


def _runs(raw: list[Json]) -> tuple[ReceiptRun, ...]:
    return tuple(map(ReceiptRun.of, raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(_Answer):
    """Cost of an endpoint from `begin` to `end`, and that of always-on.

    `unpriced`: hours on without a known price, which are in no sum of money. `known_cost`: cost of
    the others, None if unknown.
    """

    endpoint: str
    begin: Annotated[datetime, _time, "from"]
    end: Annotated[datetime, _time, "to"]
    on: Annotated[timedelta, _hours, "hours_on"]
    price_per_hour: Dollars = None
    cost: Dollars = None
    known_cost: Dollars = None
    always_on_cost: Dollars = None
    saved: Dollars = None
    unpriced: Annotated[timedelta, _hours, "unpriced_hours"] = timedelta(0)
    parts: Annotated[tuple[ReceiptPart, ...], _parts] = ()
    runs: Annotated[tuple[ReceiptRun, ...], _runs] = ()
    queue: Annotated[ReceiptQueue | None, _queue] = None
    usage: Annotated[ReceiptUsage | None, _receipt_usage] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token(_Answer):
    """A token without its secret. `endpoints` None: all; `expires_at` None: never."""

    id: str
    name: str
    scopes: Annotated[tuple[str, ...], tuple]
    endpoints: Annotated[tuple[str, ...] | None, _texts] = None
    created_at: Time
    expires_at: TimeOrNone = None
    minutes_per_day: float | None = None
    speaks_for_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken(Token):
    """A new token. Only this answer has its `secret`, which clients send as Authorization."""

    secret: Annotated[str, "token"] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine(_Answer):
    """One act: `by` did `action` to `subject`, the id of a token or the name of an endpoint."""

    number: int
    at: Time
    action: str
    by: str
    by_id: str | None = None
    subject: str | None = None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(_Answer):
    """The gateway is up."""

    status: str
    version: str
