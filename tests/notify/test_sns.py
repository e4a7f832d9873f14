"""Mails of events by SNS."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from parkmeter.core.events import MAILED, Event, Extension, text
from parkmeter.core.journal import Entry, Kind
from parkmeter.notify.sns import SnsReceiver

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
LINK = Extension("https://abc.example.org/prod/extend/link", 30.0)


class Topic:
    """Keeps what is published, within the limits of SNS."""

    def __init__(self) -> None:
        self.sent: list[dict] = []

    def publish(self, **request) -> None:
        assert 0 < len(request["Subject"]) <= 100
        assert request["Subject"].isascii()
        assert request["Subject"].isprintable()
        self.sent.append(request)


def event(kind: Kind, key: str = "stop:1", **more) -> Event:
    entry = Entry(
        "flan-t5",
        kind,
        NOON,
        who=more.pop("who", "parkmeter"),
        why="2 min 0 s left",
        key=key,
        expires_at=NOON + timedelta(minutes=2),
        left=timedelta(minutes=2),
        amount=timedelta(minutes=5),
    )
    return replace(Event.of(entry), **more)


def mailed(event: Event) -> dict:
    topic = Topic()
    SnsReceiver(topic, "arn").send(event)
    (mail,) = topic.sent
    return mail


def test_a_warning_says_what_runs_until_when_what_it_costs_and_carries_the_link() -> None:
    price = {"price_per_hour": Decimal("7.09"), "spent": Decimal("1.182")}
    mail = mailed(event(Kind.WARNING, "warn:1", extension=LINK, **price))
    assert mail["TopicArn"] == "arn"
    assert mail["Subject"] == "parkmeter: flan-t5 stops in 2 minutes"
    assert mail["Message"] == (
        "2 min 0 s left\n"
        "At: 2026-06-22 12:00:00 UTC\n"
        "On until: 2026-06-22 12:02:00 UTC\n"
        "An hour costs: $7.09\n"
        "Spent so far: $1.18\n"
        "Add 30 minutes: https://abc.example.org/prod/extend/link\n"
    )


def test_an_unknown_price_is_called_unknown_as_everywhere() -> None:
    published = event(Kind.READY)
    assert mailed(published)["Message"] == text(published) + "\n"
    assert "An hour costs: unknown" in mailed(published)["Message"]
    assert "An hour costs" not in mailed(event(Kind.STOP))["Message"]  # nothing does after a stop


def test_every_kind_has_a_subject_of_its_own() -> None:
    assert len({mailed(event(kind))["Subject"] for kind in MAILED}) == len(MAILED)


@pytest.mark.parametrize("who", ["Zoë Müller", "a\nBcc: b", "x" * 200, "\x07"])
def test_any_name_gives_a_subject_that_sns_accepts(who: str) -> None:
    assert mailed(event(Kind.TOP_UP, who=who))["Subject"].startswith("parkmeter: ")


def test_a_mail_has_endpoint_kind_and_id_as_attributes() -> None:
    published = event(Kind.READY)
    attributes = mailed(published)["MessageAttributes"]
    assert {name: one["StringValue"] for name, one in attributes.items()} == {
        "endpoint": "flan-t5",
        "kind": "ready",
        "id": published.id,
    }
