"""Exactness in real time: life past the meter, and the delay from a top-up to the start.

The real service, clock and store with endpoints that exist in memory; nothing is in flight.
"""

import statistics
import time

import pytest

from tests.support.gateway_process import eventually
from tests.support.service_at_work import service_at_work, watched_disk

COUNT = 20


@pytest.fixture(scope="module")
def lived():
    """Twenty lives: what was asked, when each was started and stopped, the slowest write."""
    with watched_disk() as writes, service_at_work(COUNT) as world:
        begun = time.time()
        asked = {name: world.top_up(name, 1 + at / 10) for at, name in enumerate(world.names)}
        eventually(lambda: len(world.first("stop", begun)) == COUNT)
        yield asked, world.first("start", begun), world.first("stop", begun), max(writes)


def test_an_endpoint_ends_with_its_meter_and_never_before(lived):
    asked, _, stops, slowest_write = lived
    late = [stops[name] - one.closes for name, one in asked.items()]
    assert min(late) >= 0
    assert statistics.median(late) <= 0.05
    # A stop waits until its intent is on the disk, which others may be keeping busy.
    assert max(late) <= 0.5 + slowest_write


def test_a_top_up_starts_its_endpoint_at_once(lived):
    asked, starts, _, slowest_write = lived
    took = [starts[name] - one.asked for name, one in asked.items()]
    assert statistics.median(took) <= 0.05
    assert max(took) <= 0.5 + 2 * slowest_write
