"""The SageMaker driver in every state and against every refusal, on the simulator.

What it shares with the other drivers is in `tests/contract`. Here is what only SageMaker does.
"""

import threading
from datetime import timedelta

import pytest
from botocore.config import Config

from parkmeter.core.decision import Cause
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.sagemaker import CLIENT_CONFIG, FOREIGN, TAG, Hosting, SageMakerDriver
from parkmeter.errors import DriverError
from simulator.sagemaker import refusals
from simulator.sagemaker.account import ACCOUNT
from simulator.sagemaker.endpoint import Delays, Status
from simulator.sagemaker.simulator import SageMakerSimulator

A10G, A100 = "ml.g5.12xlarge", "ml.p4d.24xlarge"
FLAN = Spec("flan-t5", variants=(A10G, A100))
HOSTED = Hosting("Flan-T5", {A10G: "on-a10g", A100: "on-a100"})
THERE = "Flan-T5"
"""Its name on SageMaker."""


class Deployment:
    """A driver with the calls of one endpoint."""

    def __init__(self, sagemaker, clock, prefix="parkmeter"):
        self.driver = SageMakerDriver(sagemaker.client(), prefix, {"flan-t5": HOSTED}, clock.now)
        self.clock = clock

    def start(self, variant=A10G, spec=FLAN):
        self.driver.start(spec, variant, self.clock.now() + timedelta(hours=1), 1)

    def stop(self, spec=FLAN):
        self.driver.stop(spec)

    def seen(self, spec=FLAN):
        return self.driver.observe(spec)

    def ready(self):
        self.start()
        self.clock.wind(minutes=3)
        assert self.seen().phase is Phase.READY


@pytest.fixture
def here(sagemaker, clock):
    return Deployment(sagemaker, clock)


@pytest.fixture
def foreign(control, clock):
    """An endpoint with our name that another tool created."""
    control.create_endpoint(EndpointName=THERE, EndpointConfigName="on-a10g")
    clock.wind(minutes=3)


def operations(sagemaker):
    return [call.operation for call in sagemaker.account.calls]


# ── Phases of the states ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (Status.OUT_OF_SERVICE, Phase.FAILED),
        (Status.CREATING, Phase.STARTING),
        (Status.UPDATING, Phase.BUSY),
        (Status.SYSTEM_UPDATING, Phase.BUSY),
        (Status.ROLLING_BACK, Phase.BUSY),
        (Status.IN_SERVICE, Phase.READY),
        (Status.DELETING, Phase.STOPPING),
        (Status.FAILED, Phase.FAILED),
        (Status.UPDATE_ROLLBACK_FAILED, Phase.READY),
    ],
)
def test_every_state_of_sagemaker_is_a_phase(here, sagemaker, state, phase):
    here.start()
    sagemaker.account.show(THERE, state)
    assert here.seen().phase is phase


def test_what_serves_has_its_name_as_address_in_the_case_it_was_created_with(
    here, runtime, sagemaker
):
    here.ready()
    for state in (Status.IN_SERVICE, Status.UPDATING, Status.UPDATE_ROLLBACK_FAILED):
        sagemaker.account.show(THERE, state)
        assert here.seen().address == THERE
    runtime.invoke_endpoint(EndpointName=here.seen().address, Body=b"{}")


def test_a_start_counts_from_the_create_call_and_readiness_from_the_last_change(here, clock):
    born = clock.now()
    here.start()
    clock.wind(minutes=1)
    assert (here.seen().since, here.seen().reason) == (born, f"starting on {A10G}")
    clock.wind(minutes=10)
    assert here.seen().since == born + timedelta(minutes=3)


def test_a_state_that_aws_adds_one_day_is_not_taken_for_serving_and_can_be_ended(clock):
    asked = []

    class Later:
        def describe_endpoint(self, **_request):
            now = clock.now()
            found = {"EndpointName": THERE, "EndpointArn": "arn", "EndpointStatus": "Hibernating"}
            return {**found, "CreationTime": now, "LastModifiedTime": now}

        def list_tags(self, **_request):
            return {"Tags": [{"Key": TAG, "Value": "parkmeter"}]}

        def delete_endpoint(self, **request):
            asked.append(request)

    driver = SageMakerDriver(Later(), "parkmeter", {"flan-t5": HOSTED}, clock.now)
    seen = driver.observe(FLAN)
    assert (seen.phase, seen.reason) == (Phase.STARTING, "SageMaker reports Hibernating")
    driver.stop(FLAN)
    assert asked == [{"EndpointName": THERE}]


# ── Starting ─────────────────────────────────────────────────────────────────────────────────────


def test_a_start_makes_the_variants_config_an_endpoint_with_our_tag(here, control):
    here.start(A100)
    found = control.describe_endpoint(EndpointName=THERE)
    assert (found["EndpointName"], found["EndpointConfigName"]) == (THERE, "on-a100")
    tags = control.list_tags(ResourceArn=found["EndpointArn"])["Tags"]
    assert tags == [{"Key": "parkmeter:deployment", "Value": "parkmeter"}]


def test_the_deployments_tags_are_on_the_endpoint_and_never_in_place_of_ours(here, control):
    given = {"team": "search", TAG: "another"}
    here.driver.hostings = {FLAN.name: Hosting(THERE, {A100: "on-a100"}, given)}
    here.start(A100)
    arn = control.describe_endpoint(EndpointName=THERE)["EndpointArn"]
    tags = {one["Key"]: one["Value"] for one in control.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"team": "search", TAG: "parkmeter"}


def test_a_start_whose_answer_was_lost_may_be_repeated(here, sagemaker):
    sagemaker.faults.lose_answers("CreateEndpoint")
    with pytest.raises(DriverError, match="no answer from SageMaker"):
        here.start()
    here.start()
    assert here.seen().phase is Phase.STARTING
    assert sagemaker.account.lives[THERE] == 1


def test_without_capacity_it_failed_for_a_cause_that_another_type_may_help(here, sagemaker, clock):
    sagemaker.faults.without_capacity.add(A10G)
    here.start()
    clock.wind(minutes=2)
    seen = here.seen()
    assert (seen.phase, seen.cause) == (Phase.FAILED, Cause.CAPACITY)
    assert seen.reason.startswith(f"AWS has no {A10G} available: Unable to provision")
    here.stop()
    clock.wind(seconds=20)
    here.start(A100)
    clock.wind(minutes=3)
    assert here.seen().phase is Phase.READY


def test_another_failure_says_sagemakers_words_and_where_the_log_is(here, sagemaker, clock):
    sagemaker.faults.fail_next_create(
        THERE,
        "The role arn:aws:iam::111122223333:role/flan may not read s3://cache-111122223333/m.tgz.",
    )
    here.start()
    clock.wind(minutes=3)
    seen = here.seen()
    assert seen.cause is Cause.OTHER
    assert seen.reason == (
        "The role role/flan may not read s3://cache-(account)/m.tgz "
        "(the container's log: CloudWatch, /aws/sagemaker/Endpoints/Flan-T5)"
    )


def test_over_the_quota_it_says_which_and_where_to_raise_it(here, sagemaker, control):
    sagemaker.faults.quotas[A10G] = 1
    control.create_endpoint(EndpointName="another", EndpointConfigName="on-a10g")
    with pytest.raises(DriverError) as refused:
        here.start()
    assert refused.value.capacity
    assert refused.value.detail == (
        "It could not be started: the account's quota 'ml.g5.12xlarge for endpoint usage' is 1, "
        "which is used up. Raise it in the AWS console under Service Quotas, Amazon SageMaker, "
        "in this region."
    )
    assert here.seen().phase is Phase.ABSENT
    here.start(A100)
    assert here.seen().phase is Phase.STARTING


def test_a_quota_of_zero_is_not_called_used_up_and_names_the_next_step(here, sagemaker):
    sagemaker.faults.quotas[A10G] = 0
    with pytest.raises(DriverError) as refused:
        here.start()
    assert refused.value.capacity
    assert "is 0, so none can be started in this region. Ask for 1" in refused.value.detail
    assert "parkmeter doctor --aws" in refused.value.detail


def test_a_config_that_is_not_to_be_found_yet_is_found_at_a_later_try(
    here, control, sagemaker, clock
):
    control.delete_endpoint_config(EndpointConfigName="on-a10g")
    control.delete_model(ModelName="on-a10g")
    sagemaker.account.delays = Delays(config=timedelta(seconds=2))
    sagemaker.add_config("on-a10g", A10G)
    with pytest.raises(DriverError, match="takes a moment to become visible") as refused:
        here.start()
    assert not refused.value.capacity
    assert here.seen().phase is Phase.ABSENT
    clock.wind(seconds=2)
    here.start()
    assert here.seen().phase is Phase.STARTING


def test_what_is_not_configured_is_refused_without_asking_sagemaker(here, sagemaker):
    made = len(sagemaker.account.calls)
    with pytest.raises(DriverError, match=r"no endpoint configuration for 'ml\.t2\.medium'"):
        here.start("ml.t2.medium")
    with pytest.raises(DriverError, match="no endpoint configuration"):
        here.start(spec=Spec("other"))
    assert len(sagemaker.account.calls) == made


def test_a_start_while_it_is_being_deleted_is_left_to_a_later_try(here, clock):
    here.ready()
    here.stop()
    here.start()
    assert here.seen().phase is Phase.STOPPING
    clock.wind(seconds=20)
    gone = here.seen()
    assert (gone.phase, gone.reason, gone.since) == (Phase.ABSENT, "stopped", clock.now())
    here.start()
    assert here.seen().phase is Phase.STARTING


# ── Stopping ─────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_while_creating_is_no_error_and_is_done_when_it_is_asked_again(here, clock):
    here.start()
    here.stop()
    assert here.seen().phase is Phase.STARTING
    clock.wind(minutes=3)
    here.stop()
    assert here.seen().phase is Phase.STOPPING
    clock.wind(seconds=20)
    assert here.seen().phase is Phase.ABSENT


@pytest.mark.parametrize("state", [Status.UPDATING, Status.ROLLING_BACK, Status.SYSTEM_UPDATING])
def test_a_stop_while_it_is_being_updated_is_no_error(here, sagemaker, state):
    here.ready()
    sagemaker.account.show(THERE, state)
    here.stop()
    assert here.seen().phase is Phase.BUSY


def test_a_refusal_in_progress_is_known_by_the_state_where_its_words_are_not(here, sagemaker):
    here.start()
    sagemaker.faults.refuse("DeleteEndpoint", refusals.invalid("Not now."))
    here.stop()
    sagemaker.account.show(THERE, Status.IN_SERVICE)
    sagemaker.faults.refuse("DeleteEndpoint", refusals.invalid("Never."))
    with pytest.raises(DriverError, match=r"could not be stopped: Never\."):
        here.stop()


@pytest.mark.parametrize(
    "state",
    [Status.IN_SERVICE, Status.FAILED, Status.OUT_OF_SERVICE, Status.UPDATE_ROLLBACK_FAILED],
)
def test_whatever_can_be_deleted_is_deleted(here, sagemaker, clock, state):
    here.start()
    sagemaker.account.show(THERE, state)
    here.stop()
    assert here.seen().phase is Phase.STOPPING
    clock.wind(seconds=20)
    assert here.seen().phase is Phase.ABSENT


def test_one_that_goes_between_look_and_delete_is_no_error(here, sagemaker, control):
    here.ready()
    arn = control.describe_endpoint(EndpointName=THERE)["EndpointArn"]
    sagemaker.faults.refuse("DeleteEndpoint", refusals.missing("endpoint", arn))
    here.stop()


def test_a_stop_whose_answer_was_lost_may_be_repeated(here, sagemaker):
    here.ready()
    sagemaker.faults.lose_answers("DeleteEndpoint")
    with pytest.raises(DriverError):
        here.stop()
    here.stop()
    assert here.seen().phase is Phase.STOPPING


def test_a_keep_asks_nothing_of_sagemaker(here, sagemaker, clock):
    here.ready()
    made = len(sagemaker.account.calls)
    here.driver.keep(FLAN, clock.now() + timedelta(hours=1), 5)
    assert len(sagemaker.account.calls) == made


def test_a_driver_that_saw_nothing_of_it_says_only_that_it_is_absent(sagemaker, clock):
    seen = Deployment(sagemaker, clock).seen()
    assert (seen.phase, seen.reason, seen.since) == (Phase.ABSENT, "", None)


def test_that_it_was_stopped_is_reported_once(here, sagemaker, clock):
    here.ready()
    here.stop()
    clock.wind(seconds=20)
    assert here.seen().since == clock.now()
    Deployment(sagemaker, clock).ready()
    sagemaker.account.show(THERE, Status.IN_SERVICE)
    assert here.seen().phase is Phase.READY
    Deployment(sagemaker, clock).stop()
    clock.wind(seconds=20)
    assert here.seen().since is None


# ── Ownership ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("foreign")
def test_an_endpoint_of_another_owner_is_not_ours(here, control, sagemaker):
    seen = here.seen()
    assert (seen.phase, seen.reason, seen.address) == (Phase.ABSENT, FOREIGN, None)
    assert here.driver.owned() == []
    here.stop()
    assert control.describe_endpoint(EndpointName=THERE)["EndpointStatus"] == "InService"
    assert "DeleteEndpoint" not in operations(sagemaker)


@pytest.mark.usefixtures("foreign")
def test_its_name_cannot_be_started_and_the_error_says_why(here):
    with pytest.raises(DriverError, match="that parkmeter did not create; it is left alone"):
        here.start()


def test_another_deployments_endpoint_is_not_ours(here, sagemaker, clock):
    Deployment(sagemaker, clock, "staging").ready()
    assert here.seen().phase is Phase.ABSENT
    assert here.driver.owned() == []
    here.stop()
    assert Deployment(sagemaker, clock, "staging").seen().phase is Phase.READY


def test_who_takes_our_tag_away_takes_the_endpoint_over(here, sagemaker, control):
    here.ready()
    sagemaker.account.endpoint(THERE).tags.clear()
    here.stop()
    assert control.describe_endpoint(EndpointName=THERE)["EndpointStatus"] == "InService"
    assert here.seen().reason == FOREIGN


def test_looking_every_second_does_not_ask_for_tags_every_second(here, sagemaker):
    here.ready()
    for _ in range(5):
        here.seen()
    assert operations(sagemaker).count("ListTags") == 1


def test_all_that_is_ours_is_listed_beyond_the_first_pages(here, sagemaker, control, clock):
    ours = [{"Key": TAG, "Value": "parkmeter"}]
    names = [f"flan-{number:03}" for number in range(105)]
    for name in names:
        sagemaker.account.create_endpoint(name, "on-a10g", {TAG: "parkmeter"})
    control.create_endpoint(EndpointName="other", EndpointConfigName="on-a10g")
    control.create_endpoint(EndpointName="flan-T5", EndpointConfigName="on-a10g", Tags=ours)
    assert here.driver.owned() == [*names, "flan-t5"]
    assert operations(sagemaker).count("ListEndpoints") == 2


def test_what_is_no_longer_configured_goes_by_its_name_there_and_can_be_stopped(here, clock):
    here.ready()
    here.driver.hostings = {}
    assert here.driver.owned() == [THERE]
    here.stop(Spec(THERE))
    assert here.seen(Spec(THERE)).phase is Phase.STOPPING
    clock.wind(seconds=20)
    assert here.driver.owned() == []


def test_one_that_goes_before_its_tags_are_read_is_absent_and_not_foreign(here, sagemaker):
    here.start()
    sagemaker.faults.refuse("ListTags", refusals.no_such_resource())
    seen = here.seen()
    assert (seen.phase, seen.reason) == (Phase.ABSENT, "")


def test_one_that_goes_while_the_list_is_read_is_left_out(here, sagemaker):
    here.start()
    sagemaker.faults.refuse("ListTags", refusals.no_such_resource())
    assert here.driver.owned() == []


# ── Refusals and silence ─────────────────────────────────────────────────────────────────────────


ASKED = {
    "observe": lambda here: here.seen(),
    "start": lambda here: here.start(),
    "stop": lambda here: here.stop(),
    "owned": lambda here: here.driver.owned(),
}
FIRST_CALL = {
    "observe": "DescribeEndpoint",
    "start": "CreateEndpoint",
    "stop": "DescribeEndpoint",
    "owned": "ListEndpoints",
}


@pytest.mark.parametrize("method", ASKED)
@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (refusals.throttled(), "AWS is throttling requests"),
        (refusals.internal_failure(), "The request processing has failed"),
        (refusals.invalid("1 validation error detected"), "1 validation error detected"),
        (
            refusals.denied(
                f"arn:aws:sts::{ACCOUNT}:assumed-role/clock/x",
                "SomeCall",
                f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/flan-t5",
            ),
            "parkmeter lacks a permission",
        ),
    ],
    ids=["throttled", "500", "invalid", "denied"],
)
def test_every_refusal_is_an_error_in_plain_words_without_account_or_arn(
    here, sagemaker, method, refusal, words
):
    sagemaker.faults.refuse(FIRST_CALL[method], refusal)
    with pytest.raises(DriverError, match=words) as refused:
        ASKED[method](here)
    assert not refused.value.capacity
    assert ACCOUNT not in refused.value.detail
    assert "arn:" not in refused.value.detail


def test_a_name_that_sagemaker_does_not_take_is_an_error_and_not_absence(here):
    with pytest.raises(DriverError, match="regular expression"):
        here.seen(Spec("under_score"))


def test_a_passing_error_is_overcome_by_one_quick_repetition(sagemaker, clock):
    driver = SageMakerDriver(
        sagemaker.client(config=CLIENT_CONFIG), "parkmeter", {"flan-t5": HOSTED}, clock.now
    )
    sagemaker.faults.refuse("DescribeEndpoint", refusals.internal_failure())
    assert driver.observe(FLAN).phase is Phase.ABSENT
    assert operations(sagemaker).count("DescribeEndpoint") == 2


def test_no_call_waits_long_for_sagemaker():
    attempts = CLIENT_CONFIG.retries["total_max_attempts"]
    assert attempts * (CLIENT_CONFIG.connect_timeout + CLIENT_CONFIG.read_timeout) < 30


def test_silence_is_an_error_in_plain_words(clock):
    with SageMakerSimulator(clock.now) as gone:
        client = gone.client(config=Config(retries={"total_max_attempts": 1}))
        driver = SageMakerDriver(client, "parkmeter", {"flan-t5": HOSTED}, clock.now)
    with pytest.raises(DriverError, match="Its state cannot be read: no answer from SageMaker"):
        driver.observe(FLAN)


def test_many_starts_and_stops_at_once_end_in_one_endpoint_or_none(here, sagemaker, clock):
    calls = [here.start, here.stop] * 4
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sagemaker.account.lives[THERE] == 1
    clock.wind(minutes=3)
    assert here.seen().phase is Phase.READY
