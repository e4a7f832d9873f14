"""Subscribers get the newest snapshot, together, at the rate they read."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from parkmeter.api import feed as feeds
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.event_routes import feed_of
from parkmeter.api.feed import Feed
from parkmeter.core.meter import Spec
from parkmeter.web.auth import TokenBook
from tests.support.world import World


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "SOONEST", 0.02)
    monkeypatch.setattr(feeds, "_RETRY", 0.02)


class Count:
    """Numbered snapshots, after `fail` failures."""

    def __init__(self, fail: int = 0) -> None:
        self.number = 0
        self.fail = fail

    async def __call__(self) -> int:
        if self.fail:
            self.fail -= 1
            raise OSError("not now")
        self.number += 1
        return self.number


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


def test_a_thousand_changes_from_any_thread_are_one_telling_for_everybody():
    async def scenario() -> None:
        count = Count()
        feed = Feed(count)
        subscriptions = [feed.subscribe(9) for _ in range(3)]
        assert [await one.next(5) for one in subscriptions] == [1, 1, 1]
        thread = threading.Thread(target=lambda: [feed.notify() for _ in range(1000)])
        thread.start()
        assert [await one.next(5) for one in subscriptions] == [2, 2, 2]
        thread.join()
        assert count.number <= 4

    run(scenario)


def test_who_did_not_listen_for_a_while_gets_the_newest_only():
    async def scenario() -> None:
        feed = Feed(Count())
        slow, quick = feed.subscribe(9), feed.subscribe(9)
        for number in range(1, 6):
            assert await quick.next(5) == number
            feed.notify()
        assert await slow.next(5) >= 5

    run(scenario)


def test_what_cannot_be_put_together_is_tried_for_again(caplog):
    async def scenario() -> None:
        subscription = Feed(Count(fail=2)).subscribe(9)
        assert await subscription.next(5) == 1

    run(scenario)
    assert caplog.text.count("retrying") == 2


def test_who_comes_right_after_the_last_one_left_is_told_too():
    async def scenario() -> None:
        feed = Feed(Count())
        first = feed.subscribe(1)
        assert await first.next(5) == 1
        assert feed.subscribe(1) is None
        first.cancel()
        assert await feed.subscribe(1).next(5) == 2

    run(scenario)


def test_subscriptions_are_counted_by_their_owners():
    async def scenario() -> None:
        feed = Feed(Count())
        ada = feed.subscribe(9, "ada")
        feed.subscribe(9, "ada")
        feed.subscribe(9, "ben")
        assert (feed.count("ada"), feed.count("ben"), feed.count("eve")) == (2, 1, 0)
        ada.cancel()
        assert feed.count("ada") == 1

    run(scenario)


def test_one_endpoint_that_cannot_be_shown_does_not_silence_the_others(caplog):
    world = World(Spec("flan-t5"), Spec("falcon"))

    def resource_of(name: str) -> str:
        if name == "falcon":
            raise OSError("not now")
        return name

    async def scenario() -> None:
        control = ApiContext(world.service, TokenBook([]), resource_of, lambda: world.now)
        assert list(await feed_of(control).subscribe(9).next(5)) == ["flan-t5"]

    run(scenario)
    assert "falcon cannot be shown" in caplog.text


def test_nobody_listens_any_more_after_the_end():
    async def scenario() -> None:
        feed = Feed(Count())
        subscription = feed.subscribe(9)
        assert await subscription.next(5) == 1
        waiting = asyncio.create_task(subscription.next(5))
        await asyncio.sleep(0)
        feed.close()
        assert await waiting is None
        assert subscription.ended
        assert feed.subscribe(9) is None

    run(scenario)


def test_what_is_being_sent_when_it_ends_has_a_moment_only():
    async def scenario() -> None:
        feed = Feed(Count())
        subscription = feed.subscribe(9)
        sending = asyncio.create_task(subscription.sent(asyncio.sleep(60), 30))
        await asyncio.sleep(0)
        feed.close()
        with pytest.raises(TimeoutError):
            await sending

    run(scenario)


def test_the_news_of_a_change_before_anybody_listens_are_nobodys():
    Feed(Count()).notify()
