"""Mail of the clock: sent once, retried by a later tick, with the link in a warning."""

from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from parkmeter.aws.clock import LOOK_AHEAD
from parkmeter.aws.link_secret import LinkSecret
from parkmeter.aws.mail import UnmailedError
from parkmeter.core.events import Event
from parkmeter.core.extend_link import offer_in
from parkmeter.core.journal import Kind
from simulator.sagemaker import refusals
from tests.support.aws_life import FLAN, SECOND, Life


def test_what_the_topic_did_not_take_is_mailed_by_a_later_tick(life: Life) -> None:
    life.deployment.define(warn_minutes=[10, 2])
    life.sns_troubles = 100
    life.top_up(14)
    life.wind(minutes=8)
    assert life.mails() == []
    assert "could not be reconciled: the outgoing mail; see the log above" in life.failures
    life.sns_troubles = 0
    life.wind(minutes=4)
    assert sorted(life.mails()) == [
        "parkmeter: ada added 14 minutes to flan-t5",
        "parkmeter: flan-t5 is running",
        "parkmeter: flan-t5 is starting",
        "parkmeter: flan-t5 stops in 10 minutes",
    ]
    life.failures.clear()
    life.wind(minutes=10)
    assert life.mails() == [
        "parkmeter: flan-t5 stops in 2 minutes",
        "parkmeter: flan-t5 has stopped",
    ]
    assert life.failures == []
    assert life.mailer.outbox.unsent(life.now + timedelta(hours=1), 100) == []


def test_a_warning_is_mailed_the_moment_it_falls_due_though_the_run_waits_on(life: Life) -> None:
    life.deployment.define(warn_minutes=[2, 1.5])
    life.top_up(6)
    life.wind(minutes=2)
    warned = life.meter().expires_at - timedelta(minutes=2)
    life.wind(seconds=(warned - life.now).total_seconds() - 1)
    life.mails()
    life.wind(seconds=2)
    assert life.mails() == ["parkmeter: flan-t5 stops in 2 minutes"]
    assert life.timeline.asleep() > 0


def test_who_is_warned_extends_by_the_link_once(life: Life) -> None:
    life.deployment.define(warn_minutes=[2], extend_minutes=7)
    address = "https://abc.example.org/prod"
    life.deployment.ssm.put_parameter(Name=life.address_parameter, Value=address, Type="String")
    life.top_up(10)
    life.wind(minutes=10)
    (letter,) = [one for one in life.letters() if "stops in" in one["Subject"]]
    *_, price, spent, last = letter["Message"].splitlines()
    assert (price, spent) == ("An hour costs: $7.09", "Spent so far: $1.06")
    assert last.startswith(f"Add 7 minutes: {address}/extend/")
    link, before = last.rpartition("/")[2], life.meter().expires_at
    secret = LinkSecret(life.deployment.dynamodb, life.deployment.tables.meters)
    offer = offer_in(link, secret(), life.now)
    assert (offer.endpoint, offer.until, offer.amount) == (FLAN, before, timedelta(minutes=7))


def test_without_an_api_a_warning_has_no_link_and_an_unknown_price_is_called_so(life: Life) -> None:
    variants = [{"instance_type": "ml.g5.12xlarge", "config": "on-a10g"}]
    life.deployment.define(warn_minutes=[2], variants=variants, price_per_hour="")
    life.top_up(10)
    life.wind(minutes=10)
    (letter,) = [one for one in life.letters() if "stops in" in one["Subject"]]
    assert letter["Message"].splitlines()[-1] == "An hour costs: unknown"


def test_an_event_that_is_not_subscribed_is_not_mailed_and_does_not_stay(life: Life) -> None:
    some = replace(life.mailer, kinds=[Kind.STOP])
    life.top_up(5)
    assert some.deliver() is False
    assert life.mailer.outbox.unsent(life.now, 100) == []
    assert life.mails() == []


def test_a_slow_topic_does_not_hold_its_run_until_lambda_ends_it(life: Life) -> None:
    class Slow:
        sent = 0

        def send(self, _event: Event) -> None:
            self.sent += 1
            life.wound.wind(seconds=3)

    for _ in range(9):
        life.top_up(5)
        life.wound.wind(minutes=2)
    topic = Slow()
    mailer = replace(life.mailer, topic=topic)
    assert mailer.deliver() is True
    assert topic.sent == 4
    while mailer.deliver():
        pass
    assert topic.sent == 9


def test_many_top_ups_in_a_short_time_are_one_mail(life: Life) -> None:
    class Topic:
        def __init__(self) -> None:
            self.got: list[Event] = []

        def send(self, event: Event) -> None:
            self.got.append(event)

    topic = Topic()
    mailer = replace(life.mailer, topic=topic)
    for _ in range(9):
        life.top_up(5)
        life.wound.wind(seconds=2)
        assert mailer.deliver() is False
    assert [event.added for event in topic.got] == [timedelta(minutes=5)]
    life.wound.wind(minutes=1)
    mailer.deliver()
    (_, rest) = topic.got
    assert rest.added == timedelta(minutes=40)
    assert rest.why == "8 top-ups in 14 seconds"
    assert life.mailer.outbox.unsent(life.now, 100) == []


def test_a_top_up_soon_after_another_is_mailed_by_a_tick_with_no_further_event(
    running: Life,
) -> None:
    running.wind(minutes=2)
    running.mails()
    running.top_up(5)
    running.wind(seconds=1)
    running.top_up(7)
    running.wind(seconds=1)
    assert running.mails() == ["parkmeter: ada added 5 minutes to flan-t5"]
    running.wind(minutes=2, seconds=5)
    assert running.mails() == ["parkmeter: ada added 7 minutes to flan-t5"]


def test_a_mail_that_is_refused_keeps_back_no_other(life: Life) -> None:
    class Particular:
        def __init__(self) -> None:
            self.sent: list[str] = []

        def send(self, event: Event) -> None:
            if event.endpoint == FLAN:
                raise ClientError({"Error": {"Code": "InvalidParameter"}}, "Publish")
            self.sent.append(event.endpoint)

    life.deployment.define("b", warn_minutes=[])
    life.top_up(5)
    life.wound.wind(seconds=1)
    life.top_up(5, "b")
    topic = Particular()
    mailer = replace(life.mailer, topic=topic)
    with pytest.raises(UnmailedError):
        mailer.deliver()
    assert topic.sent == ["b"]
    assert mailer.deliver() is False  # claimed, so that it is not tried again at once
    life.wound.wind(seconds=46)
    with pytest.raises(UnmailedError):
        mailer.deliver()


def test_a_failure_is_mailed_once_per_cause_however_often_it_is_tried(life: Life) -> None:
    life.sagemaker.faults.refuse("CreateEndpoint", refusals.throttled(), times=3)
    life.top_up(14)
    life.wind(minutes=5)
    assert life.lines().count(Kind.FAILURE) >= 2
    assert life.mails().count("parkmeter: flan-t5 failed") == 1


def test_a_warning_written_past_the_horizon_is_mailed_by_the_same_run(running: Life) -> None:
    running.deployment.define(warn_minutes=[1])
    store = running.deployment.store
    running.wound.time = running.meter().expires_at - timedelta(minutes=1, seconds=10)
    horizon = running.now + LOOK_AHEAD
    running.mails()
    commit = store.commit

    def slowly(meter, entries, *more):
        if any(entry.kind is Kind.WARNING for entry in entries):
            running.wound.time = horizon + SECOND
        return commit(meter, entries, *more)

    store.commit = slowly
    running.run_alone({"kind": "tick"})
    assert "parkmeter: flan-t5 stops in" in " ".join(running.mails())
