"""A service whose endpoints change while it works, on a wound clock."""

from decimal import Decimal

import pytest

from parkmeter.core.meter import LOCAL, Phase, Price, Spec
from parkmeter.core.money import Minutes
from parkmeter.errors import LimitExceededError, UnknownEndpointError
from tests.support.world import ADA, MINUTE, SECOND, World


@pytest.fixture
def world() -> World:
    world = World(Spec("a"), Spec("b"))
    for name in ("a", "b"):
        world.service.top_up(name, Minutes.of(60), ADA)
    world.wind(5 * SECOND)
    return world


def phase(world: World, name: str) -> Phase:
    return world.driver.observe(Spec(name)).phase


def test_an_endpoint_that_stays_does_not_notice(world):
    calls = len(world.calls("start")) + len(world.calls("stop"))
    world.service.configure({"a": Spec("a"), "b": Spec("b")})
    world.wind(MINUTE)
    assert len(world.calls("start")) + len(world.calls("stop")) == calls
    assert phase(world, "a") is Phase.READY


def test_a_removed_endpoint_is_stopped_and_its_meter_keeps_its_time(world):
    world.service.configure({"a": Spec("a")})
    world.wind(5 * SECOND)
    assert phase(world, "b") is Phase.ABSENT
    assert world.service.names == ["a"]
    with pytest.raises(UnknownEndpointError):
        world.service.report("b")
    world.service.configure({"a": Spec("a"), "b": Spec("b")})
    world.service.begin()
    world.wind(5 * SECOND)
    assert phase(world, "b") is Phase.READY
    assert world.left("b") > 59 * MINUTE


def test_requests_in_flight_at_a_removed_endpoint_get_exactly_their_drain(world):
    world.gate.requests["b"] = 1
    world.service.configure({"a": Spec("a")})
    world.wind(Spec("b").drain - 2 * SECOND)
    assert phase(world, "b") is Phase.READY
    world.wind(4 * SECOND)
    assert phase(world, "b") is Phase.ABSENT


def test_a_removed_endpoint_stops_as_soon_as_nothing_is_in_flight(world):
    world.gate.requests["b"] = 1
    world.service.configure({"a": Spec("a")})
    world.wind(5 * SECOND)
    world.gate.requests["b"] = 0
    world.wind(2 * SECOND)
    assert phase(world, "b") is Phase.ABSENT


def test_an_endpoint_that_comes_back_before_its_stop_is_not_stopped(world):
    world.gate.requests["b"] = 1
    world.service.configure({"a": Spec("a")})
    world.wind(5 * SECOND)
    world.service.configure({"a": Spec("a"), "b": Spec("b")})
    world.wind(MINUTE)
    assert phase(world, "b") is Phase.READY
    assert world.calls("stop") == []


def test_limits_and_prices_count_from_now_on(world):
    world.service.configure(
        {"a": Spec("a", max_top_up=MINUTE, prices={LOCAL: Price(Decimal(3), "configuration")})}
    )
    with pytest.raises(LimitExceededError):
        world.service.top_up("a", Minutes.of(2), ADA)
    assert world.service.report("a").price.per_hour == 3


def test_park_also_stops_endpoints_that_are_draining(world):
    world.gate.requests["b"] = 1
    world.service.configure({"a": Spec("a")})
    assert set(world.service.park()) == {"a", "b"}
