"""Who is told of what is committed: in order, at least once, each at its own pace."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from parkmeter.core.events import Event
from parkmeter.core.journal import Kind
from parkmeter.notify.dispatcher import GIVE_UP_AFTER, Outbox, Post
from parkmeter.notify.receiver import GoneError
from parkmeter.service.event_builder import EventBuilder
from parkmeter.stores.memory import MemoryStore
from tests.contract.test_outbox import NOW, post
from tests.support.gateway_process import eventually


@dataclass
class Inbox:
    """`ports.Receiver` that refuses while `down`, hangs while `hung` is clear, leaves if `gone`."""

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
class Office:
    """An outbox over a store in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    age: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.outbox = self.another_outbox()

    def another_outbox(self) -> Outbox:
        announce = EventBuilder(self.store).event
        return Outbox(Post(self.store, announce, lambda: NOW + self.age, lambda: 0.0))

    def commit(self, *keys: str, kind: Kind = Kind.START) -> None:
        for key in keys:
            post(self.store, key, kind=kind)
            self.outbox.send(self.store.journal("flan-t5", 1)[0])


@pytest.fixture
def office(monkeypatch):
    monkeypatch.setattr("parkmeter.notify.dispatcher.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("parkmeter.notify.dispatcher.LONGEST_PAUSE", 0.02)
    made = Office()
    yield made
    made.outbox.stop(within=0.5)


def ids(inbox: Inbox) -> list[str]:
    return [event.id for event in inbox.got]


def places(office: Office, *names: str) -> dict[str, int]:
    return office.store.follow(names)


def test_each_is_told_in_order_of_what_is_committed_from_now_on(office):
    office.commit("before")
    one, two = Inbox(), Inbox()
    office.outbox.configure({"one": one, "two": two})
    office.commit("1", "2", "3")
    eventually(lambda: len(one.got) == len(two.got) == 3)
    assert ids(one) == ids(two)
    assert len(set(ids(one))) == 3
    eventually(lambda: places(office, "one", "two") == {"one": 4, "two": 4})


def test_one_that_hangs_delays_neither_the_others_nor_who_commits(office):
    hanging, other = Inbox(), Inbox()
    hanging.hung.clear()
    office.outbox.configure({"hanging": hanging, "other": other})
    begun = time.monotonic()
    office.commit(*map(str, range(200)))
    assert time.monotonic() - begun < 1
    eventually(lambda: len(other.got) == 200)
    assert hanging.tries == 1
    hanging.hung.set()
    eventually(lambda: ids(hanging) == ids(other))


def test_what_is_refused_comes_again_until_it_is_taken_and_before_what_follows(office):
    inbox = Inbox(down=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1", "2")
    eventually(lambda: inbox.tries >= 4)
    assert places(office, "inbox") == {"inbox": 0}
    inbox.down = False
    eventually(lambda: len(inbox.got) == 2)
    assert len(set(ids(inbox))) == 2


def test_what_was_not_taken_before_a_restart_is_delivered_after_it(office):
    inbox = Inbox(down=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1", "2")
    eventually(lambda: inbox.tries)
    office.outbox.stop(within=1)
    inbox.down = False
    office.commit("3")
    assert inbox.got == []
    office.outbox = office.another_outbox()
    office.outbox.configure({"inbox": inbox})
    eventually(lambda: len(inbox.got) == 3)


def test_a_stop_delivers_what_is_left_and_does_not_wait_for_who_cannot_be_told(office):
    slow, down, hanging = Inbox(), Inbox(down=True), Inbox()
    slow.hung.clear()
    hanging.hung.clear()
    office.outbox.configure({"slow": slow, "down": down, "hanging": hanging})
    office.commit("1", "2")
    threading.Timer(0.1, slow.hung.set).start()
    begun = time.monotonic()
    office.outbox.stop(within=0.5)
    assert time.monotonic() - begun < 2
    assert (len(slow.got), len(down.got)) == (2, 0)
    hanging.hung.set()
    eventually(lambda: len(hanging.got) == 1)  # its try was under way, and it is its last


def test_who_says_that_it_is_gone_is_told_nothing_any_more(office, caplog):
    inbox = Inbox(gone=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: "is told nothing any more: it answered 410" in caplog.text)
    office.commit("2")
    time.sleep(0.1)
    assert inbox.tries == 1


def test_who_was_gone_and_is_asked_again_hears_of_what_happens_from_then_on(office, caplog):
    inbox = Inbox(gone=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: "is told nothing any more" in caplog.text)
    office.commit("2")
    inbox.gone = False
    office.outbox.stop(within=1)
    office.outbox = office.another_outbox()
    office.outbox.configure({"inbox": inbox})
    office.commit("3")
    eventually(lambda: inbox.got)
    office.outbox.stop(within=1)
    assert len(inbox.got) == 1


def test_what_could_not_be_delivered_for_a_day_is_given_up_and_the_rest_goes_on(office, caplog):
    inbox = Inbox(down=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: inbox.tries >= 2)
    office.age = GIVE_UP_AFTER + timedelta(seconds=1)
    eventually(lambda: "was never told of the start of flan-t5: connection refused" in caplog.text)
    office.age = timedelta(0)
    inbox.down = False
    office.commit("2")
    eventually(lambda: len(inbox.got) == 1)


def test_a_line_that_was_old_at_the_first_try_is_tried_again(office):
    inbox = Inbox()
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: len(inbox.got) == 1)
    inbox.down = True
    office.age = 2 * GIVE_UP_AFTER  # the gateway was off for two days
    office.commit("2")
    eventually(lambda: inbox.tries >= 3)
    inbox.down = False
    eventually(lambda: len(inbox.got) == 2)


def test_other_settings_count_from_the_next_try_on_and_nothing_is_lost_or_repeated(
    office, monkeypatch
):
    monkeypatch.setattr("parkmeter.notify.dispatcher.FIRST_PAUSE", 60.0)
    wrong, right, leaving, new = Inbox(down=True), Inbox(), Inbox(), Inbox()
    office.outbox.configure({"inbox": wrong, "leaving": leaving})
    office.commit("1")
    eventually(lambda: wrong.tries and leaving.got)
    office.outbox.configure({"inbox": right, "new": new})
    eventually(lambda: len(right.got) == 1)  # at once, not after the pause
    office.commit("2")
    eventually(lambda: len(right.got) == 2 and len(new.got) == 1)
    assert (wrong.tries, len(leaving.got)) == (1, 1)


def test_a_delivery_that_is_under_way_at_a_reload_is_not_repeated(office):
    inbox = Inbox()
    inbox.hung.clear()
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: inbox.tries)
    office.outbox.configure({"inbox": inbox})
    inbox.hung.set()
    office.commit("2")
    eventually(lambda: len(inbox.got) == 2)
    assert inbox.tries == 2


def test_a_store_that_is_busy_is_asked_again(office, monkeypatch):
    inbox, posted = Inbox(), office.store.posted
    troubles = [OSError("disk"), OSError("disk")]

    def troubled(after: int, limit: int):
        if troubles:
            raise troubles.pop()
        return posted(after, limit)

    monkeypatch.setattr(office.store, "posted", troubled)
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: len(inbox.got) == 1)


def test_pauses_double_from_a_second_to_five_minutes_and_half_of_each_is_chance(
    monkeypatch, caplog
):
    office = Office()
    waited: list[float] = []
    monkeypatch.setattr(
        "parkmeter.notify.dispatcher._Follower._pause", lambda _, seconds: waited.append(seconds)
    )
    inbox = Inbox(down=True)
    office.outbox.configure({"inbox": inbox})
    office.commit("1")
    eventually(lambda: len(waited) > 12)
    inbox.down = False
    office.outbox.stop(within=1)
    assert waited[:5] == [0.5, 1, 2, 4, 8]
    assert waited[12] == 150
    assert "trying again in 0.5 s" in caplog.text


def test_lines_that_nobody_is_told_of_are_passed(office):
    inbox = Inbox()
    office.outbox.configure({"inbox": inbox})
    office.commit("1", "2", kind=Kind.CREDIT)
    eventually(lambda: places(office, "inbox") == {"inbox": 2})
    assert inbox.tries == 0
