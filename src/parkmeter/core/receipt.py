"""Receipts: hours on, what they cost, who bought them, and what always-on would have cost. Pure.

Money is calculated exactly and rounded once, to $0.0001; parts are rounded so that they still add
up. An unknown price makes a total unknown, never smaller.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from parkmeter.core.ledger import Position, Price, PricedRun, Times
from parkmeter.core.meter import ZERO
from parkmeter.core.money import UNITS_IN_A_DOLLAR, cost_of, dollars_from, parts_of_units, units_in

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one buyer. `bought`: the time put on the meter in the period, used or not."""

    who: str
    time_on: timedelta
    cost: Decimal | None
    bought: timedelta


@dataclass(frozen=True, slots=True)
class QueueUse:
    """The instances behind an endpoint's queue (AWS), which are in no sum of its receipt.

    `time_on`: of all instances together; `price_per_hour`: of one.
    """

    time_on: timedelta
    price_per_hour: Decimal | None

    @property
    def cost(self) -> Decimal | None:
        """Return the cost in dollars, at the present price; None if that is unknown."""
        return cost_of(self.time_on, self.price_per_hour)


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


def receipt_between(
    endpoint: str,
    price: Decimal | None,
    first: Position,
    last: Position,
    ended: Iterable[PricedRun],
) -> Receipt:
    """Return the receipt from one position to a later one. A run that goes on counts to its end.

    `price`: the present one, in dollars per hour; the journal has that of each moment. `ended`: the
    runs that ended between them, in order; earlier ones are passed over. Buyers come in the order
    in which they first had time, ever. The receipts of a period cut in two add up to that of the
    whole: time exactly, money up to the rounding of each.
    """
    on, whole = _less(last.sums.on, first.sums.on), _less(last.sums.whole, first.sums.whole)
    by_price = between(first, last)
    by_buyer: dict[str, dict[Price, timedelta]] = {}
    for (who, of_price), time in on.items():
        by_buyer.setdefault(who, {})[of_price] = time
    cost, unpriced = _dollars(units(by_price)), by_price.get(None, ZERO)
    priced: dict[Price, timedelta] = {
        of_price: time for of_price, time in by_price.items() if of_price is not None
    }
    return Receipt(
        endpoint=endpoint,
        begin=first.at,
        end=last.at,
        time_on=_total(by_price),
        unpriced=unpriced,
        price_per_hour=price,
        cost=cost,
        known_cost=_dollars(units(priced)) if priced else cost,
        always_on_cost=_dollars(units(whole)),
        parts=_parts(by_buyer, _less(last.sums.bought, first.sums.bought), cost),
        runs=_runs(first, last, ended, cost),
    )


def between(first: Position, last: Position) -> Times:
    """Return the time on from one position to a later one, by price."""
    by_price: dict[Price, timedelta] = {}
    for (_, price), time in _less(last.sums.on, first.sums.on).items():
        by_price[price] = by_price.get(price, ZERO) + time
    return by_price


def _parts(
    by_buyer: Mapping[str, Times], bought: Mapping[str, timedelta], cost: Decimal | None
) -> tuple[Part, ...]:
    names = list(dict.fromkeys([*by_buyer, *bought]))
    owned = [by_buyer.get(name, {}) for name in names]
    return tuple(
        Part(name, _total(own), share, bought.get(name, ZERO))
        for name, own, share in zip(names, owned, _shares(owned, cost), strict=True)
    )


def _runs(
    first: Position, last: Position, ended: Iterable[PricedRun], cost: Decimal | None
) -> tuple[PastRun, ...]:
    """Return the runs between two positions, each with its time between them."""
    found = [run for run in ended if run.span.ended is not None and run.span.ended > first.at]
    if last.run is not None:
        found.append(PricedRun(last.run, last.sums.run))
    times = [run.time for run in found]
    if found and first.run is not None and first.run.started == found[0].span.started:
        times[0] = _less(times[0], first.sums.run)
    runs = [
        (run.span, time, on) for run, time in zip(found, times, strict=True) if (on := _total(time))
    ]
    shares = _shares([time for _, time, _ in runs], cost)
    return tuple(
        PastRun(
            started=span.started,
            ended=span.ended if span.ended is not None and span.ended <= last.at else None,
            variant=span.variant,
            time_on=on,
            cost=share,
        )
        for (span, _, on), share in zip(runs, shares, strict=True)
    )


def _less(
    sums: Mapping[_Key, timedelta], earlier: Mapping[_Key, timedelta]
) -> dict[_Key, timedelta]:
    """Return what was added to sums since earlier ones."""
    return {key: left for key, time in sums.items() if (left := time - earlier.get(key, ZERO))}


def _total(times: Times) -> timedelta:
    return sum(times.values(), ZERO)


# ── Money ───────────────────────────────────────────────────────────────────────────────────────


def units(times: Times) -> Fraction | None:
    """Return the exact cost of these times, in units of $0.0001; no time costs zero.

    None if there is time whose price is unknown.
    """
    if times.get(None):
        return None
    return units_in(times)


def cost_of_times(times: Times) -> Decimal | None:
    """Return the cost of these times in dollars, rounded to $0.0001; None if it is unknown."""
    return _dollars(units(times))


def _dollars(cost: Fraction | None) -> Decimal | None:
    return None if cost is None else dollars_from(cost)


def _shares(groups: Sequence[Times], whole: Decimal | None) -> list[Decimal | None]:
    """Return the cost of each group; those that lost most by rounding down make up for the whole.

    Where the whole is unknown, each is rounded by itself as far as it is known. It is unknown for a
    group without time too: its share of an unknown whole is not known to be nothing.
    """
    if whole is None or any(group.get(None) for group in groups):
        return [_dollars(units(group)) if group or whole is not None else None for group in groups]
    parts, parts_in_a_unit = parts_of_units(groups)
    rounded, lost = [], []
    for part in parts:
        count, rest = divmod(part, parts_in_a_unit)
        rounded.append(count)
        lost.append(rest)
    missing = int(whole * UNITS_IN_A_DOLLAR) - sum(rounded)
    most_lost = sorted(range(len(parts)), key=lost.__getitem__, reverse=True)
    for index in most_lost[:missing]:
        rounded[index] += 1
    return [dollars_from(count) for count in rounded]
