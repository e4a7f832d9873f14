"""Dollars and minutes: what money buys, and what time costs. Pure; money is Decimal.

Calculated exactly and rounded once: time down to whole microseconds, so that no one pays for more
than they get, and costs to $0.0001. An unknown price is None, never zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from parkmeter.core.meter import Meter, Spec, price_of
from parkmeter.errors import InvalidRequestError, LimitExceededError, PriceUnknownError

UNITS_IN_A_DOLLAR = 10_000
"""Sums shown are rounded to a unit of $0.0001."""

MOST_AN_HOUR = 100_000
PRICE_PLACES = 9
"""Dollars, and decimal places of a price. Within them a cost has at most 15 digits for a human
lifetime, so as a number in JSON it reads back unchanged; and a microsecond costs less than half a
unit, so the time that dollars bought is shown as those dollars."""

LEAST = timedelta(seconds=1)
"""The least time that is bought at once: each top-up is a journal entry that is kept for good."""

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_MOST_DOLLARS = 10**9
_CENT = Decimal("0.01")
_UNIT = Decimal(1) / UNITS_IN_A_DOLLAR
"""The finest sum: a finer one could not be charged exactly."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """An amount of time to add, whatever it costs. Equal amounts have equal texts."""

    amount: timedelta

    @classmethod
    def of(cls, value: object) -> "Minutes":
        """Return a number of minutes as an amount.

        Raises:
            InvalidRequestError: not a finite number, or less than a second.

        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _invalid("minutes", "must be a number greater than 0")
        if isinstance(value, float) and not math.isfinite(value):
            raise _invalid("minutes", "must be a finite number")
        if value <= 0:
            raise _invalid("minutes", "must be greater than 0")
        if value < LEAST / timedelta(minutes=1):
            raise _invalid("minutes", "must be at least 1/60: a top-up adds a second or more")
        try:
            amount = timedelta(minutes=value)
        except OverflowError:
            amount = timedelta.max
        return cls(amount)

    def buys(self, _spec: Spec, _meter: Meter) -> timedelta:
        """Return this time."""
        return self.amount

    def over_limit(
        self, over: LimitExceededError, _spec: Spec, _meter: Meter
    ) -> LimitExceededError:
        """Return the error for an amount that is over a limit."""
        return over

    @property
    def why(self) -> str:
        """Return the reason for the journal; the entry's amount has the minutes."""
        return ""

    def __str__(self) -> str:
        return str(self.amount)


@dataclass(frozen=True, slots=True)
class Dollars:
    """An amount of money to spend; greater than zero."""

    amount: Decimal

    @classmethod
    def of(cls, value: object) -> "Dollars":
        """Return a number of dollars, or the text of one, as an amount.

        Raises:
            InvalidRequestError: not a finite number greater than zero, or out of range.

        """
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            raise _invalid("dollars", "must be a number greater than 0")
        try:
            # Through text: a number in JSON is the shortest that reads back the same.
            amount = Decimal(value if isinstance(value, int) else str(value))
        except InvalidOperation:
            raise _invalid("dollars", "must be a number greater than 0") from None
        if not amount.is_finite() or amount <= 0:
            raise _invalid("dollars", "must be a finite number greater than 0")
        if amount > _MOST_DOLLARS:
            raise _invalid("dollars", "must be at most a billion")
        if amount != amount.quantize(_UNIT):
            raise _invalid("dollars", "may have at most 4 decimal places")
        return cls(amount)

    def buys(self, spec: Spec, meter: Meter) -> timedelta:
        """Return the time this buys at the present price, in whole microseconds, never worth more.

        Raises:
            PriceUnknownError: the price is not known.
            InvalidRequestError: an hour costs nothing, or this buys less than a second.

        """
        price = price_of(spec, meter).per_hour
        if price is None:
            raise PriceUnknownError(spec.name)
        if not price:
            raise _invalid(
                "dollars", f"buy no time: an hour of {spec.name} costs nothing. Say minutes"
            )
        hours = Fraction(self.amount) / Fraction(price)
        microseconds = int(hours * (_HOUR // _MICROSECOND))
        if microseconds < LEAST // _MICROSECOND:
            raise _invalid(
                "dollars",
                f"buy less than a second: an hour of {spec.name} costs {written(price)}",
            )
        try:
            return timedelta(microseconds=microseconds)
        except OverflowError:
            return timedelta.max

    def over_limit(self, over: LimitExceededError, spec: Spec, meter: Meter) -> LimitExceededError:
        """Return the error with what would fit in dollars too, rounded down so that it does."""
        price = price_of(spec, meter).per_hour
        if price is None:
            return over
        fits = dollars_from(int(units_of(over.fits, price)))
        detail = f"{over.detail.rstrip('.')}; that is {written(fits)}."
        return LimitExceededError(detail, limit=over.limit, fits=over.fits)

    @property
    def why(self) -> str:
        """Return the reason for the journal; the entry's amount has the minutes."""
        return f"for {self}"

    def __str__(self) -> str:
        return f"${self.amount.normalize():f}"


def written(dollars: Decimal) -> str:
    """Return dollars for people, exactly: `$3.00`, `$1.408`."""
    places = -int(dollars.normalize().as_tuple().exponent)
    return f"${dollars:,.{max(2, places)}f}"


def about(dollars: Decimal) -> str:
    """Return a calculated sum for people: to the cent, and below a cent exactly."""
    return written(dollars if abs(dollars) < _CENT else dollars.quantize(_CENT))


def is_price(dollars: Decimal) -> bool:
    """Return whether this is a valid price of an hour."""
    if not dollars.is_finite() or not 0 <= dollars <= MOST_AN_HOUR:
        return False
    return dollars == dollars.quantize(Decimal(1).scaleb(-PRICE_PLACES))


def parse_amount(asked: Mapping[str, object]) -> Minutes | Dollars:
    """Return the amount that a request asks for; it names either `minutes` or `dollars`.

    Raises:
        InvalidRequestError: names neither or both, or the value is not valid.

    """
    match sorted(asked.keys() & {"minutes", "dollars"}):
        case ["minutes"]:
            return Minutes.of(asked["minutes"])
        case ["dollars"]:
            return Dollars.of(asked["dollars"])
        case []:
            raise InvalidRequestError("minutes (or dollars) is missing.", field="minutes")
        case _:
            raise InvalidRequestError("Use minutes or dollars, not both.", field="dollars")


def units_of(time: timedelta, price_per_hour: Decimal) -> Fraction:
    """Return the exact cost of this time, in units of $0.0001."""
    return units_in({price_per_hour: time})


def units_in(times: Mapping[Decimal | None, timedelta]) -> Fraction:
    """Return the exact cost of times by their price per hour, in units of $0.0001.

    Time without a price is left out.
    """
    (cost,), parts = parts_of_units([times])
    return Fraction(cost, parts)


def parts_of_units(groups: Sequence[Mapping[Decimal | None, timedelta]]) -> tuple[list[int], int]:
    """Return the exact cost of each group, in equal parts of a unit of $0.0001.

    The second value is the number of parts in a unit. Time without a price is left out.
    """
    # In whole numbers: a receipt has thousands of runs, and a fraction of each would be reduced.
    ratios = {
        price: price.as_integer_ratio() for group in groups for price in group if price is not None
    }
    below = math.lcm(*(denominator for _, denominator in ratios.values()))
    rates = {
        price: numerator * (below // denominator) * UNITS_IN_A_DOLLAR
        for price, (numerator, denominator) in ratios.items()
    }
    costs = [
        sum(
            time // _MICROSECOND * rates[price]
            for price, time in group.items()
            if price is not None
        )
        for group in groups
    ]
    return costs, below * (_HOUR // _MICROSECOND)


def dollars_from(units: Fraction | int) -> Decimal:
    """Return units of $0.0001 as dollars, rounded to whole units."""
    return Decimal(round(units)).scaleb(-4)


def cost_of(time: timedelta, price_per_hour: Decimal | None) -> Decimal | None:
    """Return the cost of this time, rounded to $0.0001; None if the price is unknown."""
    return None if price_per_hour is None else dollars_from(units_of(time, price_per_hour))


def _invalid(field: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field} {what}.", field=field)
