"""Money, for every price and sum: nobody pays for more than they get, and parts make the whole."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from parkmeter.errors import InvalidRequestError, PriceUnknownError
from parkmeter.meter import Meter
from parkmeter.money import Dollars, cost_of
from parkmeter.web.history_shapes import EndpointReceipt
from parkmeter.web.receipt_csv import receipt_csv
from tests.world import ADA, BOB, NOON, World, spec

prices = some.decimals("0.0001", "1000", places=4)
sums = some.decimals("0.01", "100000", places=2)

MICROSECOND = timedelta(microseconds=1)
CLOSED = Meter("flan-t5")


def exact_cost(time: timedelta, price: Decimal) -> Fraction:
    return Fraction(time // MICROSECOND, 3_600_000_000) * Fraction(price)


@given(sums, prices)
def test_what_dollars_buy_never_costs_more_and_at_most_a_microseconds_price_less(dollars, price):
    bought = Dollars.of(dollars).buys(spec(price_per_hour=price), CLOSED)
    if bought < timedelta.max:
        assert exact_cost(bought, price) <= dollars < exact_cost(bought + MICROSECOND, price)


@given(sums, prices)
def test_what_dollars_bought_is_shown_as_those_dollars(dollars, price):
    bought = Dollars.of(dollars).buys(spec(price_per_hour=price), CLOSED)
    if bought < timedelta.max:
        assert cost_of(bought, price) == dollars


@given(some.one_of(some.floats(), some.integers(), some.text(max_size=12), some.none()))
def test_whatever_is_said_as_dollars_is_a_sensible_sum_or_refused(said):
    try:
        amount = Dollars.of(said).amount
    except InvalidRequestError:
        return
    assert 0 < amount <= 10**9


def test_a_sum_is_what_was_typed_and_no_binary_fraction():
    assert Dollars.of(0.1).amount == Decimal("0.1")
    assert str(Dollars.of("5.00")) == str(Dollars.of(5)) == "$5"


def test_an_unknown_price_buys_nothing_and_neither_does_one_of_zero():
    with pytest.raises(PriceUnknownError):
        Dollars.of(5).buys(spec(), CLOSED)
    with pytest.raises(InvalidRequestError):
        Dollars.of(5).buys(spec(price_per_hour=Decimal(0)), CLOSED)


steps = some.lists(
    some.tuples(
        some.sampled_from(["ada", "bob", "eject", "price"]),
        some.integers(1, 20 * 60 * 10**6),
        some.one_of(some.none(), prices),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(prices, steps)
def test_the_parts_of_a_receipt_add_up_to_the_whole_to_the_last_digit_shown(price, steps):
    world = World(spec(price_per_hour=price))
    for what, microseconds, other in steps:
        match what:
            case "price":
                world.service.configure({"flan-t5": spec(price_per_hour=other)})
            case "eject":
                world.service.eject("flan-t5", ADA)
            case _:
                world.service.top_up("flan-t5", 7.0, ADA if what == "ada" else BOB)
        world.wind(timedelta(microseconds=microseconds))
    receipt = world.service.receipt("flan-t5", NOON)
    shown = EndpointReceipt.of(receipt).model_dump(mode="json", by_alias=True)
    rows = list(csv.DictReader(io.StringIO(receipt_csv(receipt), newline="")))
    buyers, total = rows[:-1], rows[-1]
    assert total["row"] == "total"
    assert [row["cost"] or None for row in buyers] == [part["cost"] for part in shown["parts"]]
    assert (total["cost"] or None) == shown["cost"]
    assert (total["saved"] or None) == shown["saved"]
    if shown["cost"] is None:
        return
    for parts in (shown["parts"], shown["runs"], buyers):
        assert sum((Decimal(part["cost"]) for part in parts), Decimal(0)) == Decimal(shown["cost"])
    if shown["always_on_cost"] is not None:
        saved = Decimal(shown["always_on_cost"]) - Decimal(shown["cost"])
        assert saved == Decimal(shown["saved"])
