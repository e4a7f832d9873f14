"""Delivery of committed entries to receivers: in order, at least once, each at its own pace."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from parkmeter.core.events import Event
from parkmeter.core.journal import Kind
from parkmeter.notify.dispatcher import GIVE_UP_AFTER, DeliveryContext, Dispatcher
from parkmeter.notify.receiver import GoneError, ReadByPeople
from parkmeter.service.event_builder import EventBuilder
from parkmeter.stores.memory import MemoryStore
from tests.contract.test_outbox import NOW, post
from tests.support.gateway_process import eventually


@dataclass
class Inbox:
    """`Receiver` that refuses while `down`, hangs while `hung` is clear, unsubscribes if `gone`."""

    down: bool = False
    gone: bool = False
    hung: threading.Event = field(default_factory=threading.Event)
    tries: int = 0
    got: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hung.set()

    def send(self, event: Event) -> None:
        self.tries += 1
        self.hung.wait(10)
        if self.gone:
            raise GoneError("it answered 410")
        if self.down:
            raise OSError("connection refused")
        self.got.append(event)

    @property
    def whys(self) -> list[str]:
        return [event.why for event in self.got]


@dataclass
class Delivery:
    """A dispatcher over a store in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    age: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.dispatcher = self.another_dispatcher()

    def another_dispatcher(self) -> Dispatcher:
        announce = EventBuilder(self.store).event
        return Dispatcher(
            DeliveryContext(self.store, announce, lambda: NOW + self.age, lambda: 0.0)
        )

    def commit(self, *keys: str, kind: Kind = Kind.START) -> None:
        for key in keys:
            post(self.store, key, kind=kind)
            self.dispatcher.send(self.store.journal("flan-t5", 1)[0])


@pytest.fixture
def delivery(monkeypatch):
    monkeypatch.setattr("parkmeter.notify.dispatcher.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parkmeter.notify.dispatcher.LONGEST_PAUSE", 0.02)
    made = Delivery()
    yield made
    made.dispatcher.stop(within=0.5)


def ids(inbox: Inbox) -> list[str]:
    return [event.id for event in inbox.got]


def places(delivery: Delivery, *names: str) -> dict[str, int]:
    return delivery.store.follow(names)


def test_each_receiver_gets_what_is_committed_from_now_on_in_order(delivery):
    delivery.commit("before")
    one, two = Inbox(), Inbox()
    delivery.dispatcher.configure({"one": one, "two": two})
    delivery.commit("1", "2", "3")
    eventually(lambda: len(one.got) == len(two.got) == 3)
    assert ids(one) == ids(two)
    assert len(set(ids(one))) == 3
    eventually(lambda: places(delivery, "one", "two") == {"one": 4, "two": 4})


def test_a_receiver_that_hangs_delays_neither_the_others_nor_the_commit(delivery):
    hanging, other = Inbox(), Inbox()
    hanging.hung.clear()
    delivery.dispatcher.configure({"hanging": hanging, "other": other})
    begun = time.monotonic()
    delivery.commit(*map(str, range(200)))
    assert time.monotonic() - begun < 1
    eventually(lambda: len(other.got) == 200)
    assert hanging.tries == 1
    hanging.hung.set()
    eventually(lambda: ids(hanging) == ids(other))


def test_a_failed_delivery_is_retried_until_it_succeeds_before_newer_entries(delivery):
    inbox = Inbox(down=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1", "2")
    eventually(lambda: inbox.tries >= 4)
    assert places(delivery, "inbox") == {"inbox": 0}
    inbox.down = False
    eventually(lambda: len(inbox.got) == 2)
    assert len(set(ids(inbox))) == 2


def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(delivery):
    inbox = Inbox(down=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1", "2")
    eventually(lambda: inbox.tries)
    delivery.dispatcher.stop(within=1)
    inbox.down = False
    delivery.commit("3")
    assert inbox.got == []
    delivery.dispatcher = delivery.another_dispatcher()
    delivery.dispatcher.configure({"inbox": inbox})
    eventually(lambda: len(inbox.got) == 3)


def test_a_stop_delivers_what_is_left_and_does_not_wait_for_failing_receivers(delivery):
    slow, down, hanging = Inbox(), Inbox(down=True), Inbox()
    slow.hung.clear()
    hanging.hung.clear()
    delivery.dispatcher.configure({"slow": slow, "down": down, "hanging": hanging})
    delivery.commit("1", "2")
    threading.Timer(0.1, slow.hung.set).start()
    begun = time.monotonic()
    delivery.dispatcher.stop(within=0.5)
    assert time.monotonic() - begun < 2
    assert (len(slow.got), len(down.got)) == (2, 0)
    hanging.hung.set()
    eventually(lambda: len(hanging.got) == 1)  # the attempt under way is its last


def test_a_receiver_that_is_gone_gets_nothing_further(delivery, caplog):
    inbox = Inbox(gone=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: "has unsubscribed: it answered 410" in caplog.text)
    delivery.commit("2")
    time.sleep(0.1)
    assert inbox.tries == 1


def test_a_receiver_that_is_configured_again_gets_what_happens_from_then_on(delivery, caplog):
    inbox = Inbox(gone=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: "has unsubscribed" in caplog.text)
    delivery.commit("2")
    inbox.gone = False
    delivery.dispatcher.stop(within=1)
    delivery.dispatcher = delivery.another_dispatcher()
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("3")
    eventually(lambda: inbox.got)
    delivery.dispatcher.stop(within=1)
    assert len(inbox.got) == 1


def test_what_could_not_be_delivered_for_a_day_is_given_up_and_the_rest_goes_on(delivery, caplog):
    inbox = Inbox(down=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: inbox.tries >= 2)
    delivery.age = GIVE_UP_AFTER + timedelta(seconds=1)
    eventually(lambda: "gave up on start of flan-t5: connection refused" in caplog.text)
    delivery.age = timedelta(0)
    inbox.down = False
    delivery.commit("2")
    eventually(lambda: len(inbox.got) == 1)


def test_an_entry_that_was_old_at_the_first_attempt_is_retried(delivery):
    inbox = Inbox()
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: len(inbox.got) == 1)
    inbox.down = True
    delivery.age = 2 * GIVE_UP_AFTER  # the gateway was off for two days
    delivery.commit("2")
    eventually(lambda: inbox.tries >= 3)
    inbox.down = False
    eventually(lambda: len(inbox.got) == 2)


def test_new_settings_apply_from_the_next_attempt_and_nothing_is_lost_or_repeated(
    delivery, monkeypatch
):
    monkeypatch.setattr("parkmeter.notify.dispatcher.FIRST_PAUSE", 60.0)
    wrong, right, leaving, new = Inbox(down=True), Inbox(), Inbox(), Inbox()
    delivery.dispatcher.configure({"inbox": wrong, "leaving": leaving})
    delivery.commit("1")
    eventually(lambda: wrong.tries and leaving.got)
    delivery.dispatcher.configure({"inbox": right, "new": new})
    eventually(lambda: len(right.got) == 1)  # at once, not after the pause
    delivery.commit("2")
    eventually(lambda: len(right.got) == 2 and len(new.got) == 1)
    assert (wrong.tries, len(leaving.got)) == (1, 1)


def test_a_delivery_that_is_under_way_at_a_reload_is_not_repeated(delivery):
    inbox = Inbox()
    inbox.hung.clear()
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: inbox.tries)
    delivery.dispatcher.configure({"inbox": inbox})
    inbox.hung.set()
    delivery.commit("2")
    eventually(lambda: len(inbox.got) == 2)
    assert inbox.tries == 2


def test_a_store_that_cannot_be_read_is_retried(delivery, monkeypatch):
    inbox, posted = Inbox(), delivery.store.posted
    troubles = [OSError("disk"), OSError("disk")]

    def troubled(after: int, limit: int):
        if troubles:
            raise troubles.pop()
        return posted(after, limit)

    monkeypatch.setattr(delivery.store, "posted", troubled)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: len(inbox.got) == 1)


def test_pauses_double_from_a_second_to_five_minutes_and_half_of_each_is_jitter(
    monkeypatch, caplog
):
    delivery = Delivery()
    waited: list[float] = []
    monkeypatch.setattr(
        "parkmeter.notify.dispatcher._Follower._pause", lambda _, seconds: waited.append(seconds)
    )
    inbox = Inbox(down=True)
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1")
    eventually(lambda: len(waited) > 12)
    inbox.down = False
    delivery.dispatcher.stop(within=1)
    assert waited[:5] == [0.5, 1, 2, 4, 8]
    assert waited[12] == 150
    assert "retrying in 0.5 s" in caplog.text


def test_entries_that_are_not_published_are_passed(delivery):
    inbox = Inbox()
    delivery.dispatcher.configure({"inbox": inbox})
    delivery.commit("1", "2", kind=Kind.CREDIT)
    eventually(lambda: places(delivery, "inbox") == {"inbox": 2})
    assert inbox.tries == 0


# ── Many top-ups, for people ─────────────────────────────────────────────────────────────────────


class Mailbox(Inbox, ReadByPeople):
    """An inbox that people read."""


def test_many_top_ups_in_a_short_time_are_one_message_for_people_and_all_for_a_webhook(delivery):
    mailbox, webhook = Mailbox(), Inbox()
    delivery.dispatcher.configure({"mailbox": mailbox, "webhook": webhook})
    delivery.commit(*map(str, range(50)), kind=Kind.TOP_UP)
    eventually(lambda: len(webhook.got) == 50)
    eventually(lambda: len(mailbox.got) == 1)
    assert places(delivery, "mailbox", "webhook")["mailbox"] <= 1
    delivery.age = timedelta(minutes=1)
    delivery.commit("50", kind=Kind.TOP_UP)
    eventually(lambda: len(mailbox.got) >= 2)
    assert sum((event.added for event in mailbox.got), timedelta(0)) == sum(
        (event.added for event in webhook.got), timedelta(0)
    )
    assert "top-ups" in mailbox.got[1].why
    eventually(lambda: places(delivery, "mailbox", "webhook") == {"mailbox": 51, "webhook": 51})


def test_what_is_no_top_up_comes_at_once_after_the_top_ups_before_it(delivery):
    mailbox = Mailbox()
    delivery.dispatcher.configure({"mailbox": mailbox})
    delivery.commit("1", "2", "3", kind=Kind.TOP_UP)
    delivery.commit("stop", kind=Kind.STOP)
    eventually(lambda: len(mailbox.got) == 3)
    assert [event.kind for event in mailbox.got] == [Kind.TOP_UP, Kind.TOP_UP, Kind.STOP]
    assert mailbox.got[1].why == "2 top-ups at once"


def test_top_ups_that_are_held_when_the_gateway_ends_are_sent(delivery):
    mailbox = Mailbox()
    delivery.dispatcher.configure({"mailbox": mailbox})
    delivery.commit("1", "2", "3", kind=Kind.TOP_UP)
    eventually(lambda: mailbox.got)
    delivery.dispatcher.stop(within=2)
    assert len(mailbox.got) == 2
    assert places(delivery, "mailbox") == {"mailbox": 3}
