"""Money, for every price and sum: no one pays for more than they get, and parts make the whole."""

import csv
import io
import json
import tomllib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from pydantic import ValidationError

from parkmeter.api.history_schemas import EndpointReceipt, receipt_csv
from parkmeter.api.schemas import Changed, Endpoint
from parkmeter.client import models as answers
from parkmeter.config.settings import EndpointSettings
from parkmeter.core.meter import Meter
from parkmeter.core.money import Dollars, Minutes, about, cost_of, is_price, parse_amount, written
from parkmeter.errors import InvalidRequestError, LimitExceededError, PriceUnknownError
from parkmeter.service.run_stats import RunStats
from parkmeter.web import refusals
from parkmeter.web.problems import problem_of
from parkmeter.web.routes import Route
from tests.support.world import ADA, BOB, NOON, SECOND, World, spec

prices = some.decimals("0.0001", "1000", places=4)
sums = some.decimals("0.01", "100000", places=2)

MICROSECOND = timedelta(microseconds=1)
CLOSED = Meter("flan-t5")
YEAR = timedelta(days=366)


def exact_cost(time: timedelta, price: Decimal) -> Fraction:
    return Fraction(time // MICROSECOND, 3_600_000_000) * Fraction(price)


@given(sums, prices)
def test_what_dollars_buy_never_costs_more_and_at_most_a_microseconds_price_less(dollars, price):
    assume(exact_cost(SECOND, price) <= dollars)
    bought = Dollars.of(dollars).buys(spec(price_per_hour=price), CLOSED)
    if bought < timedelta.max:
        assert exact_cost(bought, price) <= dollars < exact_cost(bought + MICROSECOND, price)


def test_a_top_up_adds_a_second_or_more():
    for tiny in (0.0000001, 1 / 60 - 1e-9, 0.01):
        with pytest.raises(InvalidRequestError, match="at least 1/60"):
            Minutes.of(tiny)
    assert Minutes.of(1 / 60).amount == SECOND
    priced = spec(price_per_hour=Decimal(36))
    with pytest.raises(InvalidRequestError, match=r"less than a second.*\$36"):
        Dollars.of("0.0099").buys(priced, CLOSED)
    assert Dollars.of("0.01").buys(priced, CLOSED) == SECOND


@given(sums, prices)
def test_what_dollars_bought_is_shown_as_those_dollars(dollars, price):
    assume(exact_cost(SECOND, price) <= dollars)
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


def test_an_amount_is_minutes_or_dollars_and_never_both():
    assert parse_amount({"minutes": 2}) == Minutes(timedelta(minutes=2))
    assert parse_amount({"dollars": "1.50"}) == Dollars(Decimal("1.50"))
    for asked in ({}, {"minutes": 1, "dollars": 1}, {"minutes": None}, {"dollars": None}):
        with pytest.raises(InvalidRequestError):
            parse_amount(asked)


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
                world.service.top_up("flan-t5", Minutes.of(7.0), ADA if what == "ada" else BOB)
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


# ── Numbers in JSON ─────────────────────────────────────────────────────────────────────────────

allowed_prices = some.one_of(
    some.decimals(0, 100_000, places=9),
    some.decimals(0, 100_000, places=2),
    some.integers(0, 100_000).map(Decimal),
    some.sampled_from(["0.000000001", "99999.999999999", "1E+2", "7.0900"]).map(Decimal),
)


@given(allowed_prices)
def test_a_price_that_may_be_configured_is_a_price_everywhere(price):
    assert is_price(price)
    text = f'[endpoints.a]\nmodel = "demo"\nprice_per_hour = {price:f}'
    read = EndpointSettings.model_validate(tomllib.loads(text)["endpoints"]["a"])
    assert read.price_per_hour == price


@pytest.mark.parametrize("price", ["-1", "100000.000000001", "0.0000000001", "Infinity", "NaN"])
def test_what_could_not_be_told_exactly_is_no_price(price):
    assert not is_price(Decimal(price))
    with pytest.raises(ValidationError):
        EndpointSettings.model_validate({"model": "demo", "price_per_hour": price})


@settings(max_examples=60, deadline=None)
@given(allowed_prices, some.integers(1, 24 * 60 * 6 * 10**7))
def test_the_numbers_in_json_have_the_digits_of_the_money_and_clients_read_those(price, lived):
    world = World(spec(price_per_hour=price, startup_credit=timedelta(0), max_top_up=YEAR))
    world.top_up(7 * 24 * 60)
    world.wind(timedelta(seconds=2))
    report = world.service.report("flan-t5")
    summary = replace(RunStats(world.service).of(report), cost_so_far=cost_of(YEAR, price))
    shape = Endpoint.of(report, summary, "flan", "/invocations")
    gone = refusals.meter_closed(Route("flan-t5", "flan", price_per_hour=price), None, "http://a")
    for text in (
        shape.model_dump_json(),
        json.dumps(shape.model_dump(mode="json")),
        problem_of(gone).body,
    ):
        said = json.loads(text, parse_float=Decimal)
        assert said["price_per_hour"] == price
        assert said.get("cost_so_far", summary.cost_so_far) == summary.cost_so_far
    seen = answers.Endpoint.of(json.loads(shape.model_dump_json(), parse_float=answers.Written))
    assert (seen.price_per_hour, seen.cost_so_far) == (price, summary.cost_so_far)
    part = cost_of(timedelta(microseconds=lived), price)
    assert Decimal(json.dumps(float(part))) == part


@given(some.decimals(0, 10**12, places=9, allow_nan=False))
def test_a_client_reads_money_as_it_is_written_and_its_raw_answer_stays_json(dollars):
    text = f'{{"dollars": {dollars:f}}}'
    raw = json.loads(text, parse_float=answers.Written)
    assert json.loads(json.dumps(raw)) == json.loads(text)
    said = {
        "endpoint": "a",
        "minutes": 1.5,
        "expires_at": "2026-06-22T12:00:00Z",
        "closes_at": "2026-06-22T12:00:00Z",
        "at": "2026-06-22T12:00:00Z",
        "seconds_left": 1.5,
        "status": "running",
        "by": "ada",
    }
    assert answers.Change.of(said | raw).dollars == dollars


# ── What a top-up cost ──────────────────────────────────────────────────────────────────────────


@given(
    some.decimals("0.0001", "100000", places=4),
    some.one_of(prices, some.decimals("0.0001", "100000", places=9)),
)
def test_a_top_up_in_dollars_never_says_more_nor_less_than_was_paid(dollars, price):
    world = World(spec(price_per_hour=price, max_top_up=timedelta.max, max_ahead=timedelta.max))
    try:
        entry = world.top_up(Dollars.of(dollars))
    except (InvalidRequestError, LimitExceededError, OverflowError):
        return
    assert Changed.of(entry).dollars == dollars


def test_a_sum_that_is_finer_than_what_is_shown_is_refused():
    for finer in ("0.00009", "1.0000000000000000000000000000000000001", "1e-999999"):
        with pytest.raises(InvalidRequestError, match="4 decimal places"):
            Dollars.of(finer)
    assert Dollars.of("0.00010000").amount == Decimal("0.0001")


@pytest.mark.parametrize(
    ("dollars", "said"),
    [
        ("3.0", "$3.00"),
        ("0.9", "$0.90"),
        ("1.408", "$1.408"),
        ("7.20000", "$7.20"),
        ("0.001", "$0.001"),
        ("1E+3", "$1,000.00"),
        ("0", "$0.00"),
    ],
)
def test_people_read_cents_and_every_further_digit_that_there_is(dollars, said):
    assert written(Decimal(dollars)) == said


@pytest.mark.parametrize(
    ("dollars", "said"), [("1.2034", "$1.20"), ("0.0034", "$0.0034"), ("0", "$0.00")]
)
def test_what_was_reckoned_is_said_in_cents_and_never_as_nothing(dollars, said):
    assert about(Decimal(dollars)) == said


def test_dollars_that_buy_too_much_are_told_how_many_would_fit_and_these_do():
    world = World(spec(Decimal("7.20")))
    with pytest.raises(LimitExceededError) as refused:
        world.top_up(Dollars.of(5000))
    assert refused.value.detail == (
        "At most 1440 minutes may be added at once; 1440 would fit now; that is $172.80."
    )
    world.top_up(Dollars.of("172.80"))


def test_minutes_that_are_too_many_are_answered_in_minutes():
    world = World(spec(Decimal("7.20")))
    with pytest.raises(LimitExceededError) as refused:
        world.top_up(2000)
    assert "$" not in refused.value.detail


@pytest.mark.parametrize(
    ("sum_", "said"),
    [
        ("1.23456", "dollars may have at most 4 decimal places."),
        ("1000000001", "dollars must be at most a billion."),
    ],
)
def test_a_sum_that_breaks_a_rule_is_told_that_rule(sum_, said):
    with pytest.raises(InvalidRequestError) as refused:
        Dollars.of(sum_)
    assert refused.value.detail == said
