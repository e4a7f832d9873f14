"""The usual duration of a start, kept at hand for the data plane."""

from datetime import timedelta

from parkmeter.errors import StoreBusyError
from parkmeter.gateway.usual_starts import UsualStarts
from tests.support.world import MINUTE, SECOND, World


def test_it_is_known_after_the_first_start_and_follows_the_later_ones():
    world = World()
    known = UsualStarts(world.store, world.notifier)
    world.notifier, starts = known, known
    world.service = world.another_service()
    world.driver.start_takes = timedelta(seconds=40)
    world.top_up(10)
    world.wind(SECOND)
    assert starts.known == {}
    world.wind(MINUTE)
    (took,) = starts.known.values()
    assert timedelta(seconds=40) <= took <= timedelta(seconds=45)


def test_it_is_read_from_the_journal_when_a_gateway_starts():
    world = World()
    world.top_up(10)
    world.wind(MINUTE)
    starts = UsualStarts(world.store)
    starts.configure(["flan-t5", "never-started"])
    assert list(starts.known) == ["flan-t5"]


def test_a_store_that_is_busy_keeps_no_configuration_from_being_used():
    class Busy:
        def journal(self, *_arguments):
            raise StoreBusyError

    starts = UsualStarts(Busy())
    starts.configure(["flan-t5"])
    assert starts.known == {}
