"""The gate: permits, counts and notifications."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.gate import LocalGate, Standing, standing

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
CLOSE = NOON + timedelta(hours=1)
TICK = timedelta(microseconds=1)


def view(version=1, status=Status.RUNNING, *, until=CLOSE, address="http://a:1", reason="serving"):
    return View("flan", version, until, until, status, reason, address)


class Story:
    """A gate with a clock to wind and a record of endpoints that became idle."""

    def __init__(self):
        self.at = NOON
        self.idle = []
        self.gate = LocalGate(lambda: self.at, self.idle.append)


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (None, NOON, Standing.WAITING),
        (view(), NOON, Standing.SERVING),
        (view(), CLOSE - TICK, Standing.SERVING),
        (view(), CLOSE, Standing.CLOSED),
        (view(status=Status.STARTING), CLOSE - TICK, Standing.WAITING),
        (view(status=Status.STARTING), CLOSE, Standing.CLOSED),
        (view(status=Status.STOPPING), NOON, Standing.WAITING),
        (view(status=Status.FAILED), NOON, Standing.WAITING),
        (view(address=None), NOON, Standing.WAITING),
    ],
)
def test_the_standing_follows_from_view_and_time(seen, now, expected):
    assert standing(seen, now) is expected


def test_an_endpoint_was_used_last_when_the_last_of_its_prompts_ended():
    story = Story()
    story.gate.show(view())
    first, second = story.gate.admit("flan"), story.gate.admit("flan")
    read = story.gate.admit("flan", prompt=False)
    for permit in (second, first, read):
        assert story.gate.last_prompt("flan") == (NOON + TICK if permit is read else story.at)
        permit.release()
        story.at += TICK
    assert story.gate.last_prompt("flan") == NOON + TICK


def test_a_lower_version_is_ignored_and_the_same_one_replaces():
    gate = Story().gate
    gate.show(view(2, reason="two"))
    gate.show(view(1, reason="one"))
    assert gate.view("flan").reason == "two"
    gate.show(view(2, reason="two, seen again"))
    assert gate.view("flan").reason == "two, seen again"


def test_a_view_causes_a_notification_only_if_it_differs():
    notified = []
    gate = LocalGate(lambda: NOON, on_change=notified.append)
    gate.show(view(2))
    gate.show(view(2))
    gate.show(view(1))
    assert notified == ["flan"]
    gate.show(view(2, reason="seen again"))
    gate.show(view(3, reason="seen again"))
    assert notified == ["flan"] * 3


def test_an_endpoint_without_a_view_admits_and_counts_nothing():
    gate = Story().gate
    assert (gate.view("flan"), gate.admit("flan"), gate.in_flight("flan")) == (None, None, 0)
    assert gate.standing("flan") is Standing.WAITING


def test_a_permit_counts_until_it_is_released_and_releasing_twice_counts_once():
    gate = Story().gate
    gate.show(view())
    first, second = gate.admit("flan"), gate.admit("flan")
    with first:
        assert gate.in_flight("flan") == 2
    first.release()
    assert gate.in_flight("flan") == 1
    with pytest.raises(ZeroDivisionError), second:
        _ = 1 / 0
    assert gate.in_flight("flan") == 0


def test_a_permit_keeps_the_address_of_its_admission():
    gate = Story().gate
    gate.show(view(address="http://a:1"))
    with gate.admit("flan") as permit:
        gate.show(view(2, address="http://b:2"))
        assert permit.address == "http://a:1"


def test_only_the_last_request_of_a_closed_meter_makes_it_idle():
    story = Story()
    story.gate.show(view())
    with story.gate.admit("flan"):
        pass
    assert story.idle == []  # open: nothing to do
    first, second = story.gate.admit("flan"), story.gate.admit("flan")
    story.at = CLOSE
    first.release()
    assert story.idle == []
    assert story.gate.admit("flan") is None
    assert story.idle == []
    second.release()
    assert story.idle == ["flan"]


def test_a_refusal_on_a_stopped_endpoint_does_not_make_it_idle():
    story = Story()
    story.gate.show(view(status=Status.STOPPED, until=NOON))
    assert story.gate.admit("flan") is None
    assert story.idle == []


def test_the_count_after_the_close_includes_every_request_admitted_before_it():
    """A reader on another thread counts at the worst moment: while the time is being compared."""
    counted = []

    def now():
        reader = threading.Thread(target=lambda: counted.append(gate.in_flight("flan")))
        reader.start()
        reader.join()
        return CLOSE - TICK

    gate = LocalGate(now)
    gate.show(view())
    with gate.admit("flan"):
        pass
    assert counted[0] == 1


def test_an_eject_between_the_count_and_the_comparison_is_noticed():
    def now():
        if gate.in_flight("flan") and gate.view("flan").version == 1:
            gate.show(view(2, Status.STOPPING, until=NOON))
        return NOON

    idle = []
    gate = LocalGate(now, idle.append)
    gate.show(view())
    assert gate.admit("flan") is None
    assert (gate.in_flight("flan"), idle) == (0, ["flan"])


def test_held_requests_are_counted_apart_and_limited():
    async def hold():
        gate = Story().gate
        waiter = gate.add_waiter("flan", 1, nothing)
        assert (gate.in_flight("flan"), gate.waiting("flan")) == (0, 1)
        assert gate.add_waiter("flan", 1, nothing) is None
        waiter.release()
        waiter.release()
        assert gate.waiting("flan") == 0
        assert gate.add_waiter("flan", 1, nothing) is not None

    asyncio.run(hold())


def test_a_view_from_another_thread_notifies_every_held_request():
    async def hold():
        gate = Story().gate
        first, second = asyncio.Event(), asyncio.Event()
        gate.add_waiter("flan", 2, first.set)
        gate.add_waiter("flan", 2, second.set)
        for version in (1, 2):
            first.clear()
            second.clear()
            threading.Thread(target=gate.show, args=[view(version)]).start()
            async with asyncio.timeout(10):
                await first.wait()
                await second.wait()

    asyncio.run(hold())


def test_a_waiter_released_during_a_notification_does_not_hinder_the_others():
    async def hold():
        gate = Story().gate
        called = []
        waiters = []

        def release_all():
            called.append(len(waiters))
            for waiter in waiters:
                waiter.release()

        waiters.extend(gate.add_waiter("flan", 3, release_all) for _ in range(3))
        gate.show(view(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert called == [3]

    asyncio.run(hold())


def test_no_view_is_missed_by_a_request_that_checks_and_then_waits():
    """Views come as fast as they can from another thread; the last one must be seen."""

    async def hold(gate):
        changed = asyncio.Event()
        waiter = gate.add_waiter("flan", 1, changed.set)
        while gate.standing("flan") is not Standing.SERVING:
            async with asyncio.timeout(10):
                await changed.wait()
            changed.clear()
        waiter.release()

    for _ in range(100):
        gate = Story().gate
        gate.show(view(1, Status.STARTING))
        shower = threading.Thread(target=gate.show, args=[view(2)])
        shower.start()
        asyncio.run(hold(gate))
        shower.join()


def test_a_closed_loop_does_not_hinder_a_later_view():
    gate = Story().gate

    async def forget_to_release():
        gate.add_waiter("flan", 1, nothing)

    asyncio.run(forget_to_release())
    gate.show(view())
    assert gate.view("flan") is not None


def nothing() -> None:
    """Ignore a view."""
