"""Figures from the journal: the cost of the present run, the usual start time."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from parkmeter.core.journal import Entry
from parkmeter.core.ledger import Position
from parkmeter.service.run_stats import RunStats
from tests.support.world import ADA, MINUTE, NOON, SECOND, World, spec

PRICED = spec(price_per_hour=Decimal("7.09"), startup_credit=timedelta(0))


class Reads:
    """A journal that counts how often it is read."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        self.count += 1
        return self.world.store.journal(name, limit, before)

    def position(self, name: str, moment: datetime, price: Decimal | None) -> Position:
        self.count += 1
        return self.world.service.position(name, moment, price)


@pytest.fixture
def world() -> World:
    return World(PRICED)


def cost(world: World, run_stats: RunStats | None = None) -> Decimal | None:
    report = world.service.report("flan-t5")
    return (run_stats or RunStats(world.service)).of(report).cost_so_far


def test_cost_counts_from_the_start_call_and_ends_with_the_run(world):
    assert cost(world) == 0
    world.top_up(60)
    world.wind(30 * MINUTE)
    assert cost(world) == Decimal("3.5450")
    world.wind(60 * MINUTE)
    assert cost(world) == 0


def test_an_unknown_price_makes_the_cost_unknown_and_never_zero():
    world = World(spec())
    assert cost(world) is None
    world.top_up(60)
    world.wind(30 * MINUTE)
    assert cost(world) is None


def test_cost_so_far_equals_the_receipt_of_the_run_at_any_price(world):
    run_stats = RunStats(world.service)
    world.top_up(60)
    world.wind(10 * MINUTE)
    for price in ("5", "0.1234", None, "9"):
        dollars = None if price is None else Decimal(price)
        world.service.configure({"flan-t5": spec(price_per_hour=dollars)})
        for _ in range(2):
            world.wind(7 * MINUTE + timedelta(microseconds=1))
            since = world.service.report("flan-t5").meter.run.created_at
            said = world.service.receipt("flan-t5", since).cost
            assert cost(world, run_stats) == cost(world) == said
            world.top_up(20)


def test_the_journal_is_read_again_only_when_the_meter_has_changed(world):
    reads = Reads(world)
    run_stats = RunStats(reads)
    world.top_up(60)
    world.wind(MINUTE)
    cost(world, run_stats)
    once = reads.count
    assert once
    for _ in range(5):
        world.wind(SECOND)
        cost(world, run_stats)
    assert reads.count == once
    world.top_up(1)
    cost(world, run_stats)
    assert reads.count == 2 * once


def test_a_stopped_endpoint_does_not_read_the_journal(world):
    reads = Reads(world)
    assert RunStats(reads).of(world.service.report("flan-t5")).usual_start is None
    assert reads.count == 0


def test_the_usual_start_is_the_median_of_the_last_ones_failed_attempts_included(world):
    run_stats = RunStats(world.service)

    def usual() -> timedelta | None:
        return run_stats.of(world.service.report("flan-t5")).usual_start

    for seconds in (10, 50, 20):
        world.driver.start_takes = timedelta(seconds=seconds)
        world.top_up(10)
        world.wind(SECOND)
        before = usual()
        world.wind(5 * MINUTE)
        assert usual() is None, "it is not starting"
        world.service.eject("flan-t5", ADA)
        world.wind(5 * MINUTE)
    assert before is not None
    world.top_up(10)
    world.wind(SECOND)
    found = usual()
    assert found is not None
    assert timedelta(seconds=20) <= found < timedelta(seconds=22)
    assert world.now > NOON
