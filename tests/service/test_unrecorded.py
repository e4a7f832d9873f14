"""A store that cannot be written: endpoints are stopped all the same, and it is recorded later."""

from decimal import Decimal

import pytest

from parkmeter.core.hours import Hours
from parkmeter.core.journal import Kind
from parkmeter.errors import ExpiryMovedError, KeyReusedError, StoreBusyError
from parkmeter.stores.memory import MemoryEjects, MemoryStore
from tests.support.world import ADA, BOB, MINUTE, NOON, SECOND, World, spec


class FullStore(MemoryStore):
    """A store that takes nothing while it is `full`, and cannot be read while it is `lost`.

    `busy`: the number of commits that it refuses before it takes one again. `last`: called before
    the first refusal, while it takes commits.
    """

    full = False
    lost = False
    busy = 0
    last = None

    def commit(self, meter, entries, budget=None, claim=None):
        if self.full and self.last is not None:
            last, self.last, self.full = self.last, None, False
            last()
            self.full = True
        if self.full or self.busy:
            self.busy = max(0, self.busy - 1)
            raise StoreBusyError
        return super().commit(meter, entries, budget, claim)

    def load(self, name):
        if self.lost:
            raise StoreBusyError
        return super().load(name)


@pytest.fixture
def world() -> World:
    world = World(store=FullStore(), ejects=MemoryEjects())
    world.top_up(10)
    world.wind(2 * MINUTE)
    assert world.status() == "running"
    return world


def test_an_eject_that_cannot_be_recorded_stops_the_endpoint(world):
    world.store.full = True
    answer = world.service.eject("flan-t5", ADA, "once")
    assert answer.entry.kind is Kind.EJECT
    world.wind(3 * SECOND)
    assert list(world.driver.owned()) == []
    shown = world.service.report("flan-t5").shown
    assert "not recorded yet" in shown.reason
    assert world.left() == 0 * SECOND


def test_it_is_recorded_once_as_soon_as_there_is_room(world):
    world.store.full = True
    given_up = world.service.eject("flan-t5", ADA, "once").entry.amount
    world.wind(MINUTE)
    world.store.full = False
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    assert world.service.report("flan-t5").shown.reason == "ejected: top up to start it"
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.EJECT)
    assert line.amount == given_up
    assert line.who == "ada"
    assert world.ejects.of("flan-t5") is None
    assert world.service.eject("flan-t5", ADA, "once").replayed


@pytest.mark.parametrize("refused", [1, 2, 3, 4])
def test_an_eject_is_in_the_journal_at_whatever_commit_the_store_recovers(world, refused):
    world.store.busy = refused
    eject = world.service.eject("flan-t5", ADA, "once").entry
    world.wind(5 * SECOND)
    assert world.status() == "stopped"
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.EJECT)
    assert (line.at, line.who, line.amount) == (eject.at, "ada", eject.amount)
    assert world.lines()[-2:] == [Kind.EJECT, Kind.STOP]


def test_an_eject_that_is_sent_again_before_its_record_is_the_first_one(world):
    world.store.full = True
    first = world.service.eject("flan-t5", ADA, "once")
    world.wind(10 * SECOND)
    again = world.service.eject("flan-t5", ADA, "once")
    assert (again.entry, again.replayed) == (first.entry, True)
    with pytest.raises(KeyReusedError):
        world.service.eject("flan-t5", ADA, "once", seen=world.now)
    with pytest.raises(StoreBusyError):
        world.service.eject("flan-t5", BOB)
    world.store.full = False
    world.wind(3 * SECOND)
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.EJECT)
    assert (line.at, line.who) == (first.entry.at, "ada")


def test_a_restart_meanwhile_does_not_start_it_again(world):
    world.store.full = True
    world.service.eject("flan-t5", ADA)
    world.wind(3 * SECOND)
    world.service = world.another_service()
    world.store.full = False
    world.service.begin()
    world.wind(MINUTE)
    assert world.status() == "stopped"
    assert world.calls("start") == ["start"]
    assert world.lines().count(Kind.EJECT) == 1


def test_the_leash_has_the_deadline_without_this_process(world):
    world.driver.leash = True
    world.store.full = True
    world.service.eject("flan-t5", ADA)
    world.clock.time += world.specs["flan-t5"].drain + 3 * SECOND
    assert list(world.driver.owned()) == []


def test_a_top_up_waits_for_the_record_of_the_eject(world):
    world.store.full = True
    world.service.eject("flan-t5", ADA)
    with pytest.raises(StoreBusyError):
        world.top_up(5)
    world.store.full = False
    world.top_up(5)
    assert world.left() == 5 * MINUTE
    assert world.lines()[-2:] == [Kind.EJECT, Kind.TOP_UP]


def test_an_eject_is_carried_out_even_if_the_store_cannot_be_read(world):
    world.store.full = world.store.lost = True
    world.service.eject("flan-t5", ADA)
    world.clock.time += 3 * SECOND
    assert list(world.driver.owned()) == []
    world.store.full = world.store.lost = False
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.EJECT)
    assert line.amount < -7 * MINUTE, "what was given up is known once the meter can be read"


def test_an_eject_of_a_meter_that_could_not_be_read_is_recorded_as_the_meter_was():
    price, hours = Decimal("7.10"), Hours.of(["Mon-Sun 13:00-14:00 UTC"])
    world = World(
        spec(price, variants=("small",), hours=hours, warn_before=()),
        store=FullStore(),
        ejects=MemoryEjects(),
    )
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.store.full = world.store.lost = True
    world.service.eject("flan-t5", ADA)
    world.store.full = world.store.lost = False
    world.wind(3 * SECOND)
    (line,) = (one for one in world.service.journal("flan-t5", 99) if one.kind is Kind.EJECT)
    assert (line.variant, line.price_per_hour, line.status) == ("small", price, "stopping")

    closed = world.store.load("flan-t5")
    world.clock.time = NOON + 61 * MINUTE  # its hours are on
    world.store.full = world.store.lost = True
    world.service.eject("flan-t5", ADA)
    world.store.full = world.store.lost = False
    world.wind(3 * SECOND)
    line = world.service.journal("flan-t5", 1)[0]
    assert (line.kind, line.expires_at, line.amount) == (Kind.EJECT, closed.expires_at, 0 * SECOND)


def test_an_eject_with_an_outdated_expiry_is_refused_all_the_same(world):
    world.store.full = True
    with pytest.raises(ExpiryMovedError):
        world.service.eject("flan-t5", ADA, seen=world.now)
    assert world.status() == "running"


def test_an_eject_that_neither_store_nor_endpoint_takes_is_refused(world):
    world.store.full = True
    world.driver.refuse("keep", "flan-t5", times=100)
    with pytest.raises(StoreBusyError):
        world.service.eject("flan-t5", ADA)
    world.driver.refuse("keep", "flan-t5", times=0)
    world.store.full = False
    world.wind(MINUTE)
    assert world.status() == "running"


def test_a_drain_is_kept_although_nothing_can_be_recorded(world):
    world.gate.requests["flan-t5"] = 1
    world.store.full = True
    world.service.eject("flan-t5", ADA)
    world.wind(10 * SECOND)
    assert list(world.driver.owned()) == ["flan-t5"]
    world.gate.requests["flan-t5"] = 0
    world.wind(3 * SECOND)
    assert list(world.driver.owned()) == []


def test_an_endpoint_whose_time_is_used_up_is_stopped_without_a_record():
    world = World(spec(warn_before=()), store=FullStore(), ejects=MemoryEjects())
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.store.full = True
    world.wind(world.left() + 5 * SECOND)
    assert list(world.driver.owned()) == []
    assert "not recorded yet" in world.service.report("flan-t5").shown.reason
    world.store.full = False
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    assert world.lines().count(Kind.STOP) == 1


def test_time_ends_where_it_was_bought_although_a_clock_set_back_cannot_be_recorded(world):
    world.store.full = True
    world.clock.set(-5 * 60 * MINUTE)
    world.clock.due = {"flan-t5": world.now}
    world.wind(10 * MINUTE)
    assert list(world.driver.owned()) == []
    assert "not recorded yet" in world.service.report("flan-t5").shown.reason
    world.store.full = False
    world.wind(3 * SECOND)
    assert world.status() == "stopped"
    assert world.lines()[-2:] == [Kind.CLOCK, Kind.STOP]


def test_a_top_up_right_before_a_stop_that_cannot_be_recorded_keeps_the_endpoint():
    world = World(spec(warn_before=()), store=FullStore(), ejects=MemoryEjects())
    world.top_up(10)
    world.wind(2 * MINUTE)
    world.wind(world.left() - SECOND)
    world.store.full, world.store.last = True, lambda: world.top_up(10)
    world.wind(5 * SECOND)
    assert world.store.last is None
    assert list(world.driver.owned()) == ["flan-t5"]
    assert "stop" not in [call.method for call in world.driver.calls]


def test_endpoints_are_stopped_with_the_gateway_although_nothing_can_be_recorded(world):
    world.store.full = True
    assert world.service.park() == ["flan-t5"]
    world.clock.time += 3 * SECOND
    assert list(world.driver.owned()) == []
    assert world.service.park() == [], "the gateway must not wait for the record of an end"
