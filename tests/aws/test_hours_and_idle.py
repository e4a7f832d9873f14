"""Schedules and idle limits on AWS, on a wound clock."""

from datetime import timedelta

import boto3
from botocore.exceptions import EndpointConnectionError

from parkmeter.aws.expiry_parameter import published
from parkmeter.aws.last_use import UseNote, last_use
from parkmeter.core.journal import Kind
from parkmeter.core.meter import NEVER
from tests.support.aws_life import FLAN, Life, utc


def test_a_window_starts_a_settled_endpoint_to_the_second_and_ends_it(life: Life):
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-12:30 UTC"])
    life.wind(minutes=9)
    assert life.there() == {}
    life.wind(minutes=1, seconds=2)
    assert life.moments("CreateEndpoint") == [utc("12:10:00")]
    assert life.meter().expires_at == utc("12:30:00")
    life.wind(minutes=3)
    assert life.status() == "running"
    life.wind(minutes=17, seconds=35)
    # A window ends when it ends; on AWS the drain is a fixed delay.
    assert life.moments("DeleteEndpoint") == [utc("12:30:30")]
    life.wind(minutes=2)
    assert (life.status(), life.there()) == ("stopped", {})
    assert life.failures == []
    assert life.lines().count(Kind.TOP_UP) == 1


def test_an_eject_holds_until_the_next_window(life: Life):
    life.deployment.define(
        warn_minutes=[], hours=["Mon 12:10-12:30 UTC", "Mon 13:31-14:31 Europe/London"]
    )
    life.wind(minutes=13)
    life.eject()
    life.wind(minutes=16)
    assert (life.there(), life.report().held) == ({}, True)
    life.wind(minutes=2, seconds=30)
    assert life.meter().expires_at == utc("13:31:00")
    assert life.status() == "starting"


def test_ticks_that_run_at_once_give_a_window_its_turn_once(life: Life):
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-12:30 UTC"])
    life.at_once = 3
    life.wind(minutes=13)
    assert life.lines().count(Kind.TOP_UP) == 1
    assert life.moments("CreateEndpoint")[0] == utc("12:10:00")


def test_hours_that_a_deployment_takes_away_end_by_the_next_tick(life: Life):
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-20:00 UTC"])
    life.wind(minutes=15)
    assert life.status() == "running"
    life.deployment.define(warn_minutes=[])
    life.wind(minutes=3)
    assert (life.status(), life.there()) == ("stopped", {})
    life.wind(minutes=15)
    assert life.lines().count(Kind.EDIT) == 1
    assert life.published() == published(life.meter().expires_at)
    assert life.failures == []


def test_hours_that_a_deployment_makes_shorter_leave_what_people_put_on_top(life: Life):
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-20:00 UTC"])
    life.wind(minutes=15)
    life.top_up(20)
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-12:30 UTC"])
    life.wind(minutes=2)
    assert (life.status(), life.meter().expires_at) == ("running", utc("12:50:00"))


def test_hours_that_cannot_be_read_now_are_as_they_were(life: Life):
    life.deployment.define(warn_minutes=[], hours=["Mon 12:10-12:30 UTC"])
    life.wind(minutes=2)

    class Silent:
        def get_parameters_by_path(self, **_request):
            raise EndpointConnectionError(endpoint_url="https://ssm")

    life.hours._ssm = Silent()
    life.wind(minutes=10)
    assert life.status() == "running"


def test_an_endpoint_that_is_not_used_is_ejected_and_one_that_is_used_is_not(life: Life):
    life.deployment.define(warn_minutes=[], idle_minutes=5)
    dynamodb = boto3.client("dynamodb")
    note = UseNote(dynamodb, life.deployment.tables.meters, FLAN)
    life.top_up(60)
    for _ in range(4):
        life.wind(minutes=4)
        note.take(life.now)
    assert life.status() == "running"
    last = life.now
    life.wind(minutes=5)
    assert life.status() == "running"
    life.wind(minutes=4)
    assert life.status() == "stopped"
    (eject,) = [
        entry for entry in life.deployment.store.journal(FLAN, 100) if entry.kind is Kind.EJECT
    ]
    # A note may be a minute old, and a prompt take half of one.
    assert eject.at == last + timedelta(minutes=6, seconds=30)
    assert eject.why == "no prompt for 5 min 0 s"
    assert timedelta(minutes=30) <= -eject.amount < timedelta(minutes=40)
    assert life.failures == []
    dynamodb.close()


def test_where_its_use_cannot_be_read_it_is_not_called_idle(life: Life):
    life.deployment.define(warn_minutes=[], idle_minutes=5)
    life.top_up(60)
    life.wind(minutes=2)

    class Silent:
        def get_item(self, **_request):
            raise EndpointConnectionError(endpoint_url="https://dynamodb")

    find = last_use(Silent(), "meters")
    assert find(FLAN) is None
    assert last_use(life.deployment.dynamodb, life.deployment.tables.meters)(FLAN) == NEVER
