"""Receipts: hours on, what they cost, who bought them, and what always-on would have cost. Pure.

Money is calculated exactly and rounded once, to $0.0001; parts are rounded so that they still add
up. An unknown price makes a total unknown, never smaller.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import ZERO
from parkmeter.core.money import UNITS_IN_A_DOLLAR, dollars_from, units_of
from parkmeter.core.timeline import Interval, RunSpan, intervals

_Whose = TypeVar("_Whose", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one buyer. `bought`: the time put on the meter in the period, used or not."""

    who: str
    time_on: timedelta
    cost: Decimal | None
    bought: timedelta


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run of the endpoint; `time_on` and `cost` are those within the period.

    `started` may be before it; `ended` is None if it was still on when the period ended.
    """

    started: datetime
    ended: datetime | None
    variant: str | None
    time_on: timedelta
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One endpoint from `begin` to `end`. Dollars; None where a price is unknown.

    `parts` and `runs` add up exactly to `time_on`, and to `cost` where it is known. `unpriced`: the
    part of `time_on` without a price; `known_cost`: the cost of the rest, None if there is none.
    `price_per_hour`: the present one.
    """

    endpoint: str
    begin: datetime
    end: datetime
    time_on: timedelta
    unpriced: timedelta
    price_per_hour: Decimal | None
    cost: Decimal | None
    known_cost: Decimal | None
    always_on_cost: Decimal | None
    parts: tuple[Part, ...]
    runs: tuple[PastRun, ...]

    @property
    def saved(self) -> Decimal | None:
        """Return the dollars that always-on would have cost more."""
        if self.cost is None or self.always_on_cost is None:
            return None
        return self.always_on_cost - self.cost


def receipt(
    entries: Iterable[Entry],
    endpoint: str,
    price: Decimal | None,
    begin: datetime,
    end: datetime,
) -> Receipt:
    """Return the receipt from `begin` to `end`, which must not be before it.

    `price`: the present one, in dollars per hour; every entry has that of its own moment.
    `entries`: this endpoint's, in the order of their numbers, from the last one before `begin` that
    `leaves_stopped` (or from the first); some may be later than `end`. A run that goes on counts to
    `end`. The receipts of a period cut in two add up to that of the whole: time exactly, money up
    to the rounding of each.
    """
    lines = list(entries)
    period = intervals(lines, price, begin, end)
    on = [interval for interval in period if interval.run is not None]
    cost = _dollars(units_on(on))
    priced = [interval for interval in on if interval.price is not None]
    return Receipt(
        endpoint=endpoint,
        begin=begin,
        end=end,
        time_on=_length(on),
        unpriced=_length([interval for interval in on if interval.price is None]),
        price_per_hour=price,
        cost=cost,
        known_cost=_dollars(units_on(priced)) if priced else cost,
        always_on_cost=_dollars(units_on(period)),
        parts=_parts(on, _bought(lines, begin, end), cost),
        runs=_runs(on, cost, end),
    )


def _parts(
    on: Sequence[Interval], bought: dict[str, timedelta], cost: Decimal | None
) -> tuple[Part, ...]:
    by_buyer = _grouped(on, lambda interval: interval.who)
    names = list(dict.fromkeys([*by_buyer, *bought]))
    owned = [by_buyer.get(name, []) for name in names]
    return tuple(
        Part(name, _length(own), share, bought.get(name, ZERO))
        for name, own, share in zip(names, owned, _shares(owned, cost), strict=True)
    )


def _runs(on: Sequence[Interval], cost: Decimal | None, end: datetime) -> tuple[PastRun, ...]:
    def run_of(interval: Interval) -> RunSpan | None:
        return interval.run

    by_run = _grouped(on, run_of)
    shares = _shares(list(by_run.values()), cost)
    return tuple(
        PastRun(
            started=run.started,
            ended=run.ended if run.ended is not None and run.ended <= end else None,
            variant=run.variant,
            time_on=_length(own),
            cost=share,
        )
        for (run, own), share in zip(by_run.items(), shares, strict=True)
        if run is not None
    )


def _bought(lines: Iterable[Entry], begin: datetime, end: datetime) -> dict[str, timedelta]:
    """Return the time that each buyer put on the meter, from `begin` on and before `end`."""
    found: dict[str, timedelta] = {}
    for line in lines:
        adds = line.kind in {Kind.TOP_UP, Kind.EDIT} and line.amount > ZERO
        if adds and begin <= line.at < end:
            found[line.who] = found.get(line.who, ZERO) + line.amount
    return found


def _grouped(
    on: Iterable[Interval], whose: Callable[[Interval], _Whose]
) -> dict[_Whose, list[Interval]]:
    groups: dict[_Whose, list[Interval]] = {}
    for interval in on:
        groups.setdefault(whose(interval), []).append(interval)
    return groups


def _length(parts: Iterable[Interval]) -> timedelta:
    return sum((interval.end - interval.begin for interval in parts), ZERO)


# ── Money ───────────────────────────────────────────────────────────────────────────────────────


def units_on(parts: Iterable[Interval]) -> Fraction | None:
    """Return the exact cost of these intervals, in units of $0.0001; no time costs zero.

    None if there is time whose price is unknown.
    """
    by_price: dict[Decimal, timedelta] = {}
    for interval in parts:
        if interval.price is None:
            return None
        length = interval.end - interval.begin
        by_price[interval.price] = by_price.get(interval.price, ZERO) + length
    total = Fraction(0)
    for price, length in by_price.items():
        total += units_of(length, price)
    return total


def _dollars(units: Fraction | None) -> Decimal | None:
    return None if units is None else dollars_from(units)


def _shares(groups: Sequence[Sequence[Interval]], whole: Decimal | None) -> list[Decimal | None]:
    """Return the cost of each group; those that lost most by rounding down make up for the whole.

    Where the whole is unknown, each is rounded by itself as far as it is known. It is unknown for a
    group without time too: its share of an unknown whole is not known to be nothing.
    """
    costs = [units_on(group) if group or whole is not None else None for group in groups]
    known = [cost for cost in costs if cost is not None]
    if whole is None or len(known) != len(costs):
        return [_dollars(cost) for cost in costs]
    units = [int(cost) for cost in known]
    missing = int(whole * UNITS_IN_A_DOLLAR) - sum(units)
    most_lost = sorted(range(len(known)), key=lambda index: units[index] - known[index])
    for index in most_lost[:missing]:
        units[index] += 1
    return [dollars_from(count) for count in units]
