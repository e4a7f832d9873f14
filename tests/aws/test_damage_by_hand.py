"""What people delete and edit in the console: no endpoint runs on because of it."""

from parkmeter.core.journal import Kind
from tests.support.aws_life import FLAN, Life


def _delete_item(life: Life, sort_key: str) -> None:
    life.deployment.dynamodb.delete_item(
        TableName=life.deployment.tables.meters, Key={"pk": FLAN, "sk": sort_key}
    )


def test_a_meter_deleted_by_hand_stops_its_endpoint_and_can_be_topped_up_again(
    running: Life,
) -> None:
    before = running.lines()
    _delete_item(running, "meter")
    running.wind(minutes=12)  # by the next sweep at the latest
    assert running.there() == {}
    assert running.failures == []
    running.top_up(10)
    running.wind(minutes=2)
    assert running.status() == "running"
    # The journal goes on where it ended.
    assert running.lines()[: len(before)] == before
    assert Kind.TOP_UP in running.lines()[len(before) :]


def test_a_posted_entry_that_cannot_be_read_holds_up_no_other_mail(running: Life) -> None:
    running.mails()
    # As a version would post it that knows further kinds, and was rolled back.
    body = '{"kind": "of a later version"}'
    item = {"pk": "outbox#", "sk": "2026-06-22T00:00:00", "body": body, "number": 1}
    running.deployment.dynamodb.put_item(TableName=running.deployment.tables.meters, Item=item)
    running.eject()
    running.wind(minutes=2)
    assert any("eject" in mail or "stopp" in mail for mail in running.mails())
    assert running.failures == []
