"""Prices and costs are those of the variant that runs, not of the first one."""

from datetime import timedelta
from decimal import Decimal

import pytest

from parkmeter.api.schemas import Endpoint
from parkmeter.core.decision import Cause
from parkmeter.core.events import Event, document
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import UNKNOWN, Price
from parkmeter.core.money import Dollars
from parkmeter.errors import PriceUnknownError
from parkmeter.service.run_stats import RunStats
from tests.support.world import ADA, MINUTE, SECOND, World, spec

FIRST, SECOND_BEST, THIRD = "ml.g5.12xlarge", "ml.g5.24xlarge", "ml.g5.48xlarge"
CHEAP = Price(Decimal("7.20"), "configuration")
DEAR = Price(Decimal("14.40"), "AWS Price List, 2026-11-22")
SEVERAL = spec(
    variants=(FIRST, SECOND_BEST, THIRD),
    prices={FIRST: CHEAP, SECOND_BEST: DEAR},
    startup_credit=timedelta(0),
)


@pytest.fixture
def world() -> World:
    return World(SEVERAL)


def fall_back(world: World, times: int = 1, minutes: float = 60) -> None:
    """Have the endpoint run on a later instance type, because AWS has none of the first."""
    world.driver.fail_next_start("flan-t5", "no capacity", Cause.CAPACITY)
    world.top_up(minutes)
    world.wind(SECOND / 2)
    for _ in range(times - 1):
        world.driver.fail_next_start("flan-t5", "no capacity", Cause.CAPACITY)
        world.wind(1.5 * SECOND)
    world.wind(20 * SECOND)
    assert world.status() == "running"


def lines(world: World, *kinds: Kind) -> list[Entry]:
    found = world.service.journal("flan-t5", 1000)[::-1]
    return [line for line in found if line.kind in kinds]


def shape(world: World) -> Endpoint:
    report = world.service.report("flan-t5")
    return Endpoint.of(report, RunStats(world.service).of(report), "flan", "/invocations")


def test_after_no_capacity_the_price_is_that_of_the_type_that_runs(world):
    assert world.service.report("flan-t5").price == CHEAP
    fall_back(world)
    seen = shape(world)
    assert (seen.price_per_hour, seen.price_source) == (DEAR.per_hour, DEAR.source)
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    assert world.service.report("flan-t5").price == CHEAP


def test_entries_have_the_price_of_their_moment_and_the_receipt_uses_it(world):
    fall_back(world)
    world.wind(10 * MINUTE)
    tried, started = lines(world, Kind.START)
    assert (tried.price_per_hour, started.price_per_hour) == (CHEAP.per_hour, DEAR.per_hour)
    found = world.service.receipt("flan-t5", started.at)
    assert found.cost == (DEAR.per_hour * Decimal(found.time_on / (60 * MINUTE))).quantize(
        Decimal("0.0001")
    )
    assert found.price_per_hour == DEAR.per_hour
    assert shape(world).cost_so_far == found.cost


def test_a_warning_says_the_price_of_what_runs(world):
    fall_back(world, minutes=20)
    world.wind(15 * MINUTE)
    (warning,) = lines(world, Kind.WARNING)
    assert document(Event.of(warning))["price_per_hour"] == "14.40"


def test_dollars_buy_time_at_the_price_of_what_runs_and_on_a_closed_meter_of_the_first(world):
    assert world.top_up(Dollars.of("0.72")).amount == 6 * MINUTE
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    fall_back(world)
    assert world.top_up(Dollars.of("0.72")).amount == 3 * MINUTE


def test_a_type_without_a_known_price_is_unknown_whatever_the_others_cost(world):
    fall_back(world, times=2)
    assert world.service.report("flan-t5").price == UNKNOWN
    assert (shape(world).price_per_hour, shape(world).cost_so_far) == (None, None)
    assert lines(world, Kind.READY)[-1].price_per_hour is None
    with pytest.raises(PriceUnknownError):
        world.top_up(Dollars.of(5))


def test_what_still_stops_costs_its_own_price_and_the_next_start_is_of_the_same_type(world):
    fall_back(world)
    world.driver.stop_takes = MINUTE
    world.service.eject("flan-t5", ADA)
    world.wind(SECOND)
    assert world.status() == "stopping"
    assert world.top_up(10).price_per_hour == DEAR.per_hour
    world.wind(30 * SECOND)
    assert world.service.report("flan-t5").price == DEAR
    world.wind(5 * MINUTE)
    assert [line.variant for line in lines(world, Kind.START)][-2:] == [SECOND_BEST, SECOND_BEST]
    assert world.service.report("flan-t5").price == DEAR


def test_a_type_no_longer_configured_has_an_unknown_price(world):
    fall_back(world)
    world.service.configure({"flan-t5": spec(variants=(FIRST,), price_per_hour=CHEAP.per_hour)})
    assert world.service.report("flan-t5").price == UNKNOWN
