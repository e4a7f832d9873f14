"""The published expiry: edits of operators are adopted, and nothing else is."""

from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from parkmeter.aws.expiry_parameter import published
from parkmeter.core.journal import Kind
from tests.support.aws_life import FLAN, SECOND, Life, utc
from tests.support.custom_resources import CloudFormation, request


def test_the_expiry_is_published_in_the_ancestors_format(running: Life) -> None:
    running.wind(minutes=1)
    assert running.published() == published(running.meter().expires_at)
    running.top_up(5)
    running.wind(seconds=1)
    assert running.published() == published(running.meter().expires_at)


@pytest.mark.parametrize("told", [True, False])
def test_an_operators_edit_is_adopted_and_journaled(running: Life, *, told: bool) -> None:
    running.publish(utc("14:30:00"), tell=told)
    running.wind(seconds=1 if told else 60)
    assert running.meter().expires_at == utc("14:30:00")
    edit = running.deployment.store.journal(FLAN, 1)[0]
    assert (edit.kind, edit.who) == (Kind.EDIT, "operator")
    assert running.published() == published(utc("14:30:00"))


def test_an_operator_can_end_it_and_start_it_by_hand(running: Life) -> None:
    running.publish(running.now - SECOND)
    running.wind(minutes=2)
    assert (running.status(), running.there()) == ("stopped", {})
    running.publish(running.now + timedelta(minutes=20))
    running.wind(minutes=4)
    assert running.status() == "running"


def test_an_edit_of_a_stopped_endpoint_whose_event_was_lost_is_found_by_the_sweep(
    running: Life,
) -> None:
    running.wind(minutes=12)
    assert running.meter().settled
    running.publish(running.now + timedelta(minutes=40), tell=False)
    running.wind(minutes=14)
    assert running.status() == "running"


def test_an_edit_beyond_the_limits_adds_no_more_than_a_top_up_however_many_read_it(
    running: Life,
) -> None:
    before = running.meter().expires_at
    running.at_once = 4
    running.publish(running.now + timedelta(days=30))
    running.wind(minutes=2)
    assert running.meter().expires_at == before + timedelta(days=1)
    assert running.lines().count(Kind.EDIT) == 1


def test_an_edit_that_cannot_be_written_over_is_carried_out_once(
    running: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssm, before = running.deployment.ssm, running.meter().expires_at
    running.publish(running.now + timedelta(days=30))

    def refuse(**_asked):
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "PutParameter")

    monkeypatch.setattr(ssm, "put_parameter", refuse)
    running.wind(minutes=5)
    assert running.meter().expires_at == before + timedelta(days=1)


def test_a_top_up_after_an_edit_that_ended_it_is_not_ended_again(running: Life) -> None:
    running.publish(running.now - SECOND)
    found = running.expiries.values_of([FLAN])[FLAN]
    running.wind(seconds=1)
    running.top_up(10)
    running.expiries.adopt(running.service(), FLAN, found)
    assert running.report().left > timedelta(minutes=9)


def test_what_an_earlier_deployment_published_is_not_an_edit(
    life: Life, answers: CloudFormation
) -> None:
    life.publish(life.now - timedelta(days=3), tell=False)
    life.lifecycle().handle(request(answers, "Create", minutes="60"), lambda: 900_000)
    life.wind(minutes=3)
    assert life.status() == "running"
    assert Kind.EDIT not in life.lines()


def test_a_late_write_of_our_own_is_no_edit(running: Life) -> None:
    running.wind(minutes=1)
    before = running.published()
    running.top_up(10)
    running.wind(seconds=1)
    running.publish(before)
    running.wind(seconds=1)
    assert running.published() == published(running.meter().expires_at) != before
    assert Kind.EDIT not in running.lines()


def test_an_edit_made_while_the_clock_is_at_work_is_not_written_over(running: Life) -> None:
    running.wind(minutes=1)
    read = running.expiries.values_of([FLAN])[FLAN]
    running.top_up(10)
    running.publish(utc("14:30:00"), tell=False)
    running.expiries.adopt(running.service(), FLAN, read)
    running.expiries.publish(running.service(), FLAN, read)
    assert running.published() == published(utc("14:30:00"))
    running.wind(minutes=1)
    assert running.meter().expires_at == utc("14:30:00")


def test_what_is_no_time_is_warned_of_once_and_overwritten(running: Life) -> None:
    running.wind(minutes=1)
    for _ in range(3):
        running.publish("tomorrow evening")
        running.wind(seconds=1)
    assert running.published() == published(running.meter().expires_at)
    warnings = [e for e in running.deployment.store.journal(FLAN, 9) if e.kind is Kind.WARNING]
    assert len(warnings) == 1
    assert "tomorrow evening" in warnings[0].why


def test_one_that_was_deleted_is_published_again(running: Life) -> None:
    running.wind(minutes=1)
    running.expiries.withdraw(FLAN)
    running.wind(minutes=1)
    assert running.published() == published(running.meter().expires_at)


def test_a_parameter_store_that_fails_keeps_nothing_from_being_stopped(
    running: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable = boto3.client("ssm", endpoint_url="http://localhost:9")
    monkeypatch.setattr(running.deployment, "ssm", unreachable)
    running.wind(minutes=12)
    monkeypatch.undo()
    assert running.there() == {}
    assert "published expiries" in running.failures[0]
