"""What people are mailed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from parkmeter.journal import Entry, Kind
from parkmeter.notify.sns import TOLD, SnsNotifier

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)


class Topic:
    """Keeps what is published, within the limits of SNS."""

    def __init__(self) -> None:
        self.sent: list[dict] = []

    def publish(self, **request) -> None:
        assert len(request["Subject"]) <= 100
        assert request["Subject"].isascii()
        assert "\n" not in request["Subject"]
        self.sent.append(request)


def entry(kind: Kind, **more) -> Entry:
    facts = {"who": "parkmeter", "why": "time used up", "expires_at": NOON + timedelta(hours=1)}
    return Entry("flan-t5", kind, NOON, key="stop:1", **(facts | more))


def test_a_mail_says_what_happened_until_when_and_what_it_costs() -> None:
    topic = Topic()
    SnsNotifier(topic, "arn").send(entry(Kind.STOP, price_per_hour=Decimal("7.09")))
    (mail,) = topic.sent
    assert mail["Subject"] == "parkmeter: flan-t5 has stopped"
    assert mail["Message"] == (
        "flan-t5 has stopped: time used up\n\n"
        "At       2026-06-22 12:00:00 UTC, by parkmeter\n"
        "Expires  2026-06-22 13:00:00 UTC\n"
        "Price    $7.09 an hour\n"
    )
    assert mail["MessageAttributes"]["key"]["StringValue"] == "stop:1"


def test_whoever_tops_up_or_ejects_is_not_mailed_about_it() -> None:
    topic = Topic()
    for kind in (Kind.TOP_UP, Kind.EJECT, Kind.CREDIT, Kind.START):
        SnsNotifier(topic, "arn").send(entry(kind))
    assert topic.sent == []


def test_every_kind_that_is_told_has_its_words_and_an_unknown_price_is_not_mentioned() -> None:
    topic = Topic()
    for kind in TOLD:
        SnsNotifier(topic, "arn").send(entry(kind))
    assert len({mail["Subject"] for mail in topic.sent}) == len(TOLD)
    assert not any("Price" in mail["Message"] for mail in topic.sent)
