"""The whole life of an endpoint on AWS, on a wound clock: one test per behaviour."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from parkmeter.aws.expiry_parameter import published
from parkmeter.aws.last_use import UseNote, last_use
from parkmeter.aws.link_secret import LinkSecret
from parkmeter.aws.mail import UnmailedError
from parkmeter.core.events import Event
from parkmeter.core.extend_link import offer_in
from parkmeter.core.journal import Kind
from parkmeter.core.meter import NEVER, Phase
from parkmeter.drivers import sagemaker
from simulator.deployment import deployed
from simulator.moto_server import moto_server
from simulator.sagemaker import refusals
from simulator.sagemaker.endpoint import Delays, Status
from simulator.sagemaker.simulator import SageMakerSimulator
from stacks import names as agreed
from tests.support.aws_life import FLAN, SECOND, Life, utc
from tests.support.custom_resources import CloudFormation, cloudformation, request
from tests.support.wound_sagemaker import Wound

DELAYS = Delays(
    create=timedelta(minutes=1), provision=timedelta(seconds=30), delete=timedelta(seconds=20)
)
HOSTED = "parkmeter-flan-t5"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def life(moto: str, clock: Wound, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """Flan-T5 defined, nothing provisioned yet."""
    with (
        deployed(moto, monkeypatch.setenv) as deployment,
        SageMakerSimulator(clock.now, delays=DELAYS) as sagemaker,
    ):
        sagemaker.add_config("on-a10g", "ml.g5.12xlarge")
        sagemaker.add_config("on-a100", "ml.p4d.24xlarge")
        deployment.define(warn_minutes=[])
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex}")["TopicArn"]
        queue = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        life = Life(deployment, sagemaker, clock, sns, topic, sqs, queue)
        yield life
        life.timeline.end()
        sns.close()
        sqs.close()
    assert sagemaker.bugs == []
    assert sagemaker.account.violations == []


@pytest.fixture
def running(life: Life) -> Life:
    """In service, with ten minutes left."""
    life.top_up(10)
    life.wind(minutes=1, seconds=5)
    assert life.status() == "running"
    return life


@pytest.fixture
def answers() -> Iterator[CloudFormation]:
    with cloudformation() as server:
        yield server


# ── Start, stop, start again ─────────────────────────────────────────────────────────────────────


def test_the_first_provisioning_starts_the_endpoint_by_itself(
    life: Life, answers: CloudFormation
) -> None:
    life.lifecycle().handle(request(answers, "Create", minutes="60"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    life.wind(seconds=1)
    assert life.there() == {HOSTED: "Creating"}
    life.wind(minutes=4)
    assert life.status() == "running"
    # The start took one of them, and none of the sixty.
    assert life.report().left > timedelta(minutes=56, seconds=55)
    assert life.lines() == [Kind.TOP_UP, Kind.START, Kind.CREDIT, Kind.READY]


def test_at_the_end_of_its_time_it_is_deleted_within_a_second_of_the_drain(running: Life) -> None:
    close = running.meter().expires_at
    running.wind(minutes=12)
    assert running.there() == {}
    assert running.meter().settled
    (deleted,) = running.calls("DeleteEndpoint")
    assert deleted == ""
    stopped = running.deployment.store.journal(FLAN, 1)[0]
    assert stopped.kind is Kind.STOP
    (asked,) = running.moments("DeleteEndpoint")
    drained = close + timedelta(seconds=30)
    assert drained <= asked <= drained + SECOND
    assert running.failures == []


def test_wherever_between_two_ticks_it_ends_it_is_deleted_within_a_second(life: Life) -> None:
    life.deployment.define(drain_seconds=0, startup_credit_minutes=0, warn_minutes=[])
    life.top_up(5)
    life.wind(minutes=6)
    late = []
    for second in range(3, 60, 7):
        life.top_up(4 + second / 60)
        life.wind(seconds=1)
        close = life.meter().expires_at
        life.wind(minutes=6)
        assert life.there() == {}
        late.append(life.moments("DeleteEndpoint")[-1] - close)
    assert all(timedelta(0) <= each <= SECOND for each in late)


def test_a_top_up_starts_it_again(running: Life) -> None:
    running.wind(minutes=12)
    assert running.status() == "stopped"
    running.top_up(10)
    running.wind(seconds=1)
    assert running.there() == {HOSTED: "Creating"}
    running.wind(minutes=4)
    assert running.status() == "running"


def test_without_any_event_the_minute_alone_does_it_all(life: Life) -> None:
    life.deaf = True
    life.top_up(10)
    life.wind(minutes=6)
    assert life.status() == "running"
    life.wind(minutes=15)
    assert (life.status(), life.there()) == ("stopped", {})


def test_a_delete_refused_while_creating_is_repeated_until_it_is_done(life: Life) -> None:
    life.top_up(10)
    life.wind(seconds=30)
    life.eject()
    life.wind(minutes=3)
    *refused, granted = life.calls("DeleteEndpoint")
    assert granted == ""
    assert len(refused) > 20
    assert set(refused) == {"ValidationException"}
    permitted = utc("12:01:00")
    asked = life.moments("DeleteEndpoint")[-1]
    assert permitted <= asked <= permitted + SECOND
    assert (life.status(), life.there()) == ("stopped", {})
    assert Kind.FAILURE not in life.lines()


def test_while_aws_maintains_it_nothing_can_be_deleted_and_then_it_is(running: Life) -> None:
    running.eject()
    running.sagemaker.account.maintain(HOSTED)
    running.wind(minutes=2)
    assert running.there() == {HOSTED: "SystemUpdating"}
    running.wind(minutes=2)
    assert running.there() == {}


def test_without_capacity_the_next_instance_type_is_taken(life: Life) -> None:
    life.sagemaker.faults.without_capacity.add("ml.g5.12xlarge")
    life.top_up(30)
    life.wind(minutes=6)
    assert life.status() == "running"
    (endpoint,) = life.sagemaker.account.endpoints()
    assert endpoint.config.name == "on-a100"
    failure = next(e for e in life.deployment.store.journal(FLAN, 50) if e.kind is Kind.FAILURE)
    assert "ml.g5.12xlarge" in failure.why
    assert "InsufficientInstanceCapacity" in failure.why


def test_one_that_keeps_failing_is_cleared_and_tried_again_more_and_more_rarely(
    life: Life,
) -> None:
    for _ in range(50):
        life.sagemaker.faults.fail_next_create(HOSTED, "the container did not start")
    life.top_up(10)
    life.wind(minutes=43)
    assert (life.status(), life.there()) == ("stopped", {})
    starts = life.lines().count(Kind.START)
    # Each takes a minute to fail; bought time and credit are 40 minutes.
    assert 8 < starts < 20


# ── Races ────────────────────────────────────────────────────────────────────────────────────────


def test_a_top_up_while_it_is_being_deleted_ends_with_a_running_endpoint(running: Life) -> None:
    running.eject()
    running.wind(seconds=32)
    assert running.there() == {HOSTED: "Deleting"}
    running.top_up(10)
    running.wind(minutes=2, seconds=30)
    assert running.status() == "running"
    # The waiting for the former one to go was part of the start, and is given back.
    assert running.report().left > timedelta(minutes=8, seconds=30)


def test_a_top_up_between_the_decision_to_delete_and_its_commit_keeps_it_running(
    running: Life,
) -> None:
    store = running.deployment.store
    commit, topped_up = store.commit, []

    def late(meter, entries, *more):
        if meter.run.phase is Phase.STOPPING and not topped_up:
            topped_up.append(True)
            running.top_up(10)
        return commit(meter, entries, *more)

    store.commit = late
    running.wind(minutes=12)
    assert topped_up
    assert running.calls("DeleteEndpoint") == []
    assert running.there() == {HOSTED: "InService"}


def test_an_eject_between_the_intent_to_start_and_the_start_leaves_nothing_running(
    life: Life,
) -> None:
    client = life.sagemaker.client()
    create, ejected = client.create_endpoint, []

    def late(**asked):
        if not ejected:
            ejected.append(True)
            life.eject()
        return create(**asked)

    client.create_endpoint = late
    life.top_up(10)
    life.wind(minutes=6)
    assert ejected
    assert (life.status(), life.there()) == ("stopped", {})


def test_top_ups_one_after_another_do_not_pile_up_runs_of_the_clock(life: Life) -> None:
    life.top_up(10)
    life.wind(seconds=1)
    for _ in range(20):
        life.top_up(1)
        life.wind(seconds=1)
    assert life.timeline.asleep() <= 2
    assert len(life.calls("DescribeEndpoint")) < 60


def test_one_hiccup_of_sagemaker_is_nobodys_mail(running: Life) -> None:
    running.mails()
    running.sagemaker.faults.refuse("DescribeEndpoint", refusals.throttled(), times=3)
    running.wind(minutes=1)
    assert running.mails() == []
    assert running.failures == []
    assert Kind.FAILURE not in running.lines()


def test_clocks_that_overlap_write_one_line_and_send_one_message(life: Life) -> None:
    life.deployment.define(warn_minutes=[10, 2])
    life.at_once = 4
    life.top_up(14)
    life.wind(minutes=20)
    assert life.lines() == [
        Kind.TOP_UP,
        Kind.START,
        Kind.CREDIT,
        Kind.READY,
        Kind.WARNING,
        Kind.WARNING,
        Kind.STOP,
    ]
    assert sorted(life.mails()) == [
        "parkmeter: ada added 14 minutes to flan-t5",
        "parkmeter: flan-t5 has stopped",
        "parkmeter: flan-t5 is running",
        "parkmeter: flan-t5 is starting",
        "parkmeter: flan-t5 stops in 10 minutes",
        "parkmeter: flan-t5 stops in 2 minutes",
    ]
    assert life.failures == []


def test_what_the_topic_did_not_take_is_mailed_by_a_later_tick(life: Life) -> None:
    life.deployment.define(warn_minutes=[10, 2])
    life.sns_troubles = 100
    life.top_up(14)
    life.wind(minutes=8)
    assert life.mails() == []
    assert "could not be treated: what is to be mailed; see above" in life.failures
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
    assert life.mailing.outbox.untold(life.now + timedelta(hours=1), 100) == []


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


def test_what_nobody_wants_mailed_is_not_and_does_not_stay(life: Life) -> None:
    some = replace(life.mailing, kinds=[Kind.STOP])
    life.top_up(5)
    assert some.deliver() is False
    assert life.mailing.outbox.untold(life.now, 100) == []
    assert life.mails() == []


def test_a_slow_topic_does_not_hold_its_run_until_lambda_ends_it(life: Life) -> None:
    class Slow:
        sent = 0

        def send(self, _event: Event) -> None:
            self.sent += 1
            life.wound.wind(seconds=3)

    for _ in range(9):
        life.top_up(5)
    topic = Slow()
    mailing = replace(life.mailing, topic=topic)
    assert mailing.deliver() is True
    assert topic.sent == 4
    while mailing.deliver():
        pass
    assert topic.sent == 9


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
    mailing = replace(life.mailing, topic=topic)
    with pytest.raises(UnmailedError):
        mailing.deliver()
    assert topic.sent == ["b"]
    assert mailing.deliver() is False  # claimed, so that it is not tried again at once
    life.wound.wind(seconds=46)
    with pytest.raises(UnmailedError):
        mailing.deliver()


def test_a_failure_is_mailed_once_per_cause_however_often_it_is_tried(life: Life) -> None:
    life.sagemaker.faults.refuse("CreateEndpoint", refusals.throttled(), times=3)
    life.top_up(14)
    life.wind(minutes=5)
    assert life.lines().count(Kind.FAILURE) >= 2
    assert life.mails().count("parkmeter: flan-t5 failed") == 1


# ── The published expiry ─────────────────────────────────────────────────────────────────────────


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


def test_an_edit_of_a_stopped_endpoint_that_no_event_told_of_is_found_by_the_sweep(
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
    running.expiries.sync(running.service(), FLAN, found)
    assert running.report().left > timedelta(minutes=9)


def test_what_an_earlier_deployment_published_is_nobodys_wish(
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
    running.expiries.sync(running.service(), FLAN, read)
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


def test_one_that_was_deleted_is_published_anew(running: Life) -> None:
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


# ── Several meters ───────────────────────────────────────────────────────────────────────────────


def test_twenty_five_meters_in_one_account_live_and_end(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number:02}" for number in range(25)]
    for name in names:
        life.deployment.define(name, warn_minutes=[])
        life.top_up(5, name)
    life.wind(minutes=2)
    assert len(life.there()) == 25
    # In pages: more than one of ListEndpoints, as with its default of ten.
    monkeypatch.setattr(sagemaker, "PAGE", 10)
    listed = len(life.calls("ListEndpoints"))
    life.clock().run({"kind": "sweep"})
    # Three for whom nobody meters, and one page of a hundred to see all that are metered.
    assert life.calls("ListEndpoints")[listed:] == ["", "", "", ""]
    assert {life.status(name) for name in names} == {"running"}
    life.wind(minutes=6)
    assert life.there() == {}
    assert life.failures == []


def test_one_broken_meter_does_not_keep_the_others_from_being_stopped(life: Life) -> None:
    names = ["a", "b", "c"]
    for name in names:
        life.deployment.define(name, warn_minutes=[])
        life.top_up(10, name)
    life.wind(minutes=5)
    life.deployment.dynamodb.update_item(
        TableName=life.deployment.tables.meters,
        Key={"pk": "b", "sk": "meter"},
        UpdateExpression="SET body = :odd",
        ExpressionAttributeValues={":odd": "{"},
    )
    life.wind(minutes=10)
    assert life.there() == {"parkmeter-b": "InService"}
    assert life.failures
    assert all("could not be treated: b;" in failure for failure in life.failures)


def test_while_definitions_cannot_be_read_the_last_good_ones_hold(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.deployment.define(drain_seconds=120, startup_credit_minutes=0, warn_minutes=[])
    life.top_up(4)
    life.wind(minutes=2)
    assert life.status() == "running"
    close = life.meter().expires_at
    known = life.known
    monkeypatch.setattr(known, "_ssm", boto3.client("ssm", endpoint_url="http://localhost:9"))
    life.wind(minutes=5)
    (deleted,) = life.moments("DeleteEndpoint")
    assert timedelta(seconds=120) <= deleted - close <= timedelta(seconds=121)


def test_what_was_never_read_is_not_started_and_not_ended_before_its_time(life: Life) -> None:
    life.top_up(10)
    life.deployment.put(FLAN, "{}")
    del life.known
    life.wind(minutes=3)
    assert life.there() == {}
    assert life.lines() == [Kind.TOP_UP]
    assert life.failures


def test_a_broken_definition_ends_no_endpoint_early_and_keeps_none_from_ending(
    running: Life,
) -> None:
    running.deployment.put(FLAN, "{}")
    running.wind(minutes=5)
    assert running.there() == {HOSTED: "InService"}
    running.wind(minutes=7)
    assert running.there() == {}
    assert all("flan-t5" in failure for failure in running.failures)


def test_a_removed_definition_ends_its_endpoint(running: Life) -> None:
    running.deployment.ssm.delete_parameter(Name=running.deployment.path + FLAN)
    running.wind(minutes=2)
    assert running.there() == {}


def test_the_sweep_stops_what_bears_our_tag_and_has_no_meter(life: Life) -> None:
    tags = [{"Key": agreed.TAG, "Value": "parkmeter"}]
    for name, with_tags in (("parkmeter-lost", tags), ("parkmeter-theirs", [])):
        life.sagemaker.client().create_endpoint(
            EndpointName=name, EndpointConfigName="on-a10g", Tags=with_tags
        )
    life.deaf = True
    life.wind(minutes=15)
    assert life.there() == {"parkmeter-theirs": "InService"}


def test_events_of_endpoints_that_are_not_metered_change_nothing(life: Life) -> None:
    life.sagemaker.client().create_endpoint(
        EndpointName="parkmeter-flan-t5-async", EndpointConfigName="on-a10g"
    )
    life.wind(minutes=4)
    assert life.there() == {"parkmeter-flan-t5-async": "InService"}
    assert life.deployment.store.load("flan-t5-async").version == 0
    assert life.failures == []


# ── Being watched ────────────────────────────────────────────────────────────────────────────────


def test_each_tick_ends_with_the_heartbeat_that_the_alarms_live_on(running: Life) -> None:
    running.heard.clear()
    running.wind(minutes=5)
    assert len(running.heard) == 5
    line = running.heard[0]
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Namespace"] == agreed.METRICS
    assert metrics["Dimensions"] == [[agreed.METRICS_DIMENSION]]
    assert {metric["Name"] for metric in metrics["Metrics"]} == {agreed.OVERDUE, agreed.UNSETTLED}
    assert line[agreed.METRICS_DIMENSION] == "parkmeter"
    assert (line[agreed.OVERDUE], line[agreed.UNSETTLED]) == (0, 1)
    assert running.heartbeat.alive(running.now)


def test_an_endpoint_that_cannot_be_stopped_is_told_in_seconds_overdue(running: Life) -> None:
    running.eject()
    running.sagemaker.account.show(HOSTED, Status.SYSTEM_UPDATING)
    running.sagemaker.account.stick(HOSTED)
    running.wind(minutes=4)
    assert running.heard[-1][agreed.OVERDUE] > 120


def test_what_sagemaker_refuses_is_a_failure_of_the_run_and_told_once(running: Life) -> None:
    denied = refusals.denied("arn:aws:sts::1:assumed-role/x", "DeleteEndpoint", "arn:aws:y")
    running.sagemaker.faults.refuse("DeleteEndpoint", denied, times=120)
    running.eject()
    running.wind(minutes=2)
    assert running.failures
    assert running.lines().count(Kind.FAILURE) == 1
    running.wind(minutes=2)
    assert running.there() == {}


def test_an_event_that_nobody_knows_is_an_error(life: Life) -> None:
    with pytest.raises(ValueError, match="does not know"):
        life.clock().run({"kind": "tock"})


# ── Deployed again, destroyed ────────────────────────────────────────────────────────────────────


def test_a_redeploy_keeps_the_expiry(running: Life, answers: CloudFormation) -> None:
    before = running.meter()
    for kind in ("Update", "Create"):
        running.lifecycle().handle(request(answers, kind, minutes="999"), lambda: 900_000)
        assert answers.last["Status"] == "SUCCESS"
    assert running.meter() == before


def test_a_changed_instance_type_counts_from_the_next_start(running: Life) -> None:
    variants = [{"instance_type": "ml.p4d.24xlarge", "config": "on-a100"}]
    running.deployment.define(variants=variants, warn_minutes=[])
    running.wind(minutes=3)
    assert running.there() == {HOSTED: "InService"}
    running.wind(minutes=10)
    running.top_up(10)
    running.wind(minutes=4)
    (endpoint,) = running.sagemaker.account.endpoints()
    assert endpoint.config.name == "on-a100"


def test_destroying_stops_the_endpoint_first(running: Life, answers: CloudFormation) -> None:
    running.wind(minutes=1)
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert running.there() == {}
    assert running.published() is None
    running.wind(minutes=3)
    assert running.published() is None


def test_the_end_of_a_deployment_is_mailed_by_the_clock_as_long_as_it_is_there(
    running: Life, answers: CloudFormation
) -> None:
    running.mails()
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    running.wind(seconds=1)
    assert sorted(running.mails()) == [
        "parkmeter: flan-t5 has stopped",
        "parkmeter: flan-t5 is being removed",
    ]


def test_destroying_while_it_is_created_hands_over_before_the_function_ends(
    life: Life, answers: CloudFormation
) -> None:
    life.top_up(10)
    life.wind(seconds=10)
    handed: list = []
    ends = life.now + timedelta(minutes=2)

    def remaining() -> int:
        return int((ends - life.now).total_seconds() * 1000)

    life.lifecycle(handed.append).handle(request(answers, "Delete"), remaining)
    assert answers.answers == []
    (event,) = handed
    life.lifecycle(handed.append).handle(event, lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert life.there() == {}
    assert len(handed) == 1


def test_what_cannot_be_stopped_within_the_hour_fails_the_destroy_by_name(
    running: Life, answers: CloudFormation
) -> None:
    running.sagemaker.account.show(HOSTED, Status.SYSTEM_UPDATING)
    running.sagemaker.account.stick(HOSTED)
    begun = running.now
    asked = request(answers, "Delete") | {"ParkmeterSince": begun.isoformat()}
    running.wound.wind(minutes=50)
    # Nobody else at work: what the clock would ask meanwhile is refused all the same.
    alone = replace(running.lifecycle(), pause=lambda seconds: running.wound.wind(seconds=seconds))
    alone.handle(asked, lambda: 900_000)
    assert answers.last["Status"] == "FAILED"
    assert HOSTED in answers.last["Reason"]
    assert timedelta(minutes=55) <= running.now - begun < timedelta(minutes=56)


def test_what_was_never_started_is_destroyed_at_once(life: Life, answers: CloudFormation) -> None:
    life.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    assert answers.last["Status"] == "SUCCESS"
    assert life.now == utc("12:00:00")


def test_deployed_again_it_starts_with_its_first_minutes(
    running: Life, answers: CloudFormation
) -> None:
    running.lifecycle().handle(request(answers, "Delete"), lambda: 900_000)
    running.lifecycle().handle(request(answers, "Create", minutes="30"), lambda: 900_000)
    running.wind(minutes=4)
    assert running.status() == "running"


def test_an_endpoint_without_a_definition_is_not_created_and_says_what_to_deploy(
    life: Life, answers: CloudFormation
) -> None:
    asked = request(answers, "Create", name="phi", minutes="30")
    life.lifecycle().handle(asked, lambda: 900_000)
    assert answers.last["Status"] == "FAILED"
    assert "Deploy its MeteredStack first" in answers.last["Reason"]


# ── Hours ───────────────────────────────────────────────────────────────────────────────────────


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


# ── Idleness ────────────────────────────────────────────────────────────────────────────────────


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
