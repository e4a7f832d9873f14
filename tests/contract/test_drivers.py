"""The contract of `ports.Driver`, on every implementation."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.core.meter import Phase, Spec
from parkmeter.errors import DriverError
from tests.support.driver_fixtures import Handle, fake, phases, process, start, watch
from tests.support.sagemaker_handle import sagemaker

UNKNOWN = Spec("never-heard-of")


@pytest.fixture(params=["fake", "process", "sagemaker"])
def handle(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Handle]:
    make = {"fake": fake, "process": lambda: process(tmp_path), "sagemaker": sagemaker}
    with make[request.param]() as made:
        yield made


@pytest.fixture
def leashed(handle: Handle) -> Handle:
    if not handle.on_leash:
        pytest.skip("this driver leaves the end to the clock alone")
    return handle


def test_it_is_absent_before_a_start(handle):
    assert handle.driver.observe(handle.good()).phase is Phase.ABSENT


def test_an_unknown_endpoint_is_absent(handle):
    assert handle.driver.observe(UNKNOWN).phase is Phase.ABSENT


def test_a_start_leads_to_ready_by_way_of_starting(handle):
    spec = handle.good()
    start(handle, spec)
    assert phases(watch(handle, spec, Phase.READY)) == [Phase.STARTING, Phase.READY]


def test_only_what_is_ready_has_an_address(handle):
    spec = handle.good()
    start(handle, spec)
    *before, ready = watch(handle, spec, Phase.READY)
    assert [seen.address for seen in before] == [None]
    assert ready.address.startswith(handle.address_begins)


def test_an_observation_has_the_time_the_phase_began(handle):
    spec = handle.good()
    before = handle.now() - timedelta(seconds=1)  # clocks of files are coarse
    start(handle, spec)
    starting, ready = watch(handle, spec, Phase.READY)
    assert before <= starting.since <= ready.since <= handle.now()


def test_starting_twice_starts_once(handle):
    spec = handle.good()
    start(handle, spec)
    start(handle, spec, version=2)
    watch(handle, spec, Phase.READY)
    start(handle, spec, version=3)
    assert handle.driver.observe(spec).phase is Phase.READY
    assert handle.starts_of(spec) == 1


def test_many_starts_at_the_same_time_start_once(handle):
    spec = handle.good()
    threads = [threading.Thread(target=start, args=(handle, spec)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch(handle, spec, Phase.READY)
    assert handle.starts_of(spec) == 1


def test_a_stop_leads_to_absent_by_way_of_stopping(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    handle.driver.stop(spec)
    assert phases(watch(handle, spec, Phase.ABSENT)) == [Phase.STOPPING, Phase.ABSENT]


def test_a_stopped_endpoint_has_a_reason_and_a_time(handle):
    spec = handle.good()
    start(handle, spec)
    ready = watch(handle, spec, Phase.READY)[-1]
    handle.driver.stop(spec)
    gone = watch(handle, spec, Phase.ABSENT)[-1]
    assert gone.reason == "stopped"
    assert ready.since <= gone.since <= handle.now()


def test_stopping_twice_stops_once(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    handle.driver.stop(spec)
    handle.driver.stop(spec)
    assert handle.driver.observe(spec).phase is Phase.STOPPING
    watch(handle, spec, Phase.ABSENT)
    handle.driver.stop(spec)
    assert handle.driver.observe(spec).phase is Phase.ABSENT


def test_stopping_what_is_absent_does_nothing(handle):
    handle.driver.stop(UNKNOWN)
    assert handle.driver.observe(UNKNOWN).phase is Phase.ABSENT


def test_it_can_be_stopped_while_it_is_starting(handle):
    spec = handle.slow()
    start(handle, spec)
    assert handle.driver.observe(spec).phase is Phase.STARTING
    seen = phases(watch(handle, spec, Phase.ABSENT, lambda: handle.driver.stop(spec)))
    assert seen[-2:] == [Phase.STOPPING, Phase.ABSENT]
    assert len(seen) == 2 or not handle.stops_while_starting


def test_a_start_while_it_is_stopping_starts_nothing(handle):
    spec = handle.good()
    start(handle, spec)
    watch(handle, spec, Phase.READY)
    handle.driver.stop(spec)
    start(handle, spec, version=2)
    assert phases(watch(handle, spec, Phase.ABSENT))[-1] is Phase.ABSENT
    for _ in range(20):
        handle.pass_time()
        assert handle.driver.observe(spec).phase is Phase.ABSENT


def test_it_can_be_started_again_after_a_stop(handle):
    spec = handle.good()
    start(handle, spec, version=5)
    watch(handle, spec, Phase.READY)
    handle.driver.stop(spec)
    watch(handle, spec, Phase.ABSENT)
    start(handle, spec, version=6)
    assert watch(handle, spec, Phase.READY)[-1].address is not None


def test_a_failed_endpoint_has_a_reason_and_stays_failed(handle):
    spec = handle.fails_once()
    start(handle, spec)
    failed = watch(handle, spec, Phase.FAILED)[-1]
    assert "no such weights" in failed.reason
    handle.pass_time()
    assert handle.driver.observe(spec) == failed


def test_a_start_does_not_hide_a_failure(handle):
    spec = handle.fails_once()
    start(handle, spec)
    watch(handle, spec, Phase.FAILED)
    start(handle, spec, version=2)
    assert handle.driver.observe(spec).phase is Phase.FAILED


def test_a_stop_clears_a_failure_and_it_can_start_again(handle):
    spec = handle.fails_once()
    start(handle, spec)
    watch(handle, spec, Phase.FAILED)
    handle.driver.stop(spec)
    assert handle.driver.observe(spec).phase is not Phase.FAILED
    watch(handle, spec, Phase.ABSENT)
    start(handle, spec, version=2)
    # It may be ready before the first look.
    assert phases(watch(handle, spec, Phase.READY))[-2:] in (
        [Phase.STARTING, Phase.READY],
        [Phase.READY],
    )


def test_a_refused_start_raises_and_leaves_nothing(handle):
    spec = handle.impossible()
    with pytest.raises(DriverError):
        start(handle, spec)
    assert handle.driver.observe(spec).phase is Phase.ABSENT
    assert list(handle.driver.owned()) == []


def test_it_owns_exactly_what_is_not_absent(handle):
    good, slow, bad = handle.good(), handle.slow(), handle.fails_once()
    assert list(handle.driver.owned()) == []
    for spec in (good, slow, bad):
        start(handle, spec)
    watch(handle, bad, Phase.FAILED)
    assert set(handle.driver.owned()) == {good.name, slow.name, bad.name}
    for spec in (bad, slow):
        handle.driver.stop(spec)
        watch(handle, spec, Phase.ABSENT)
    assert set(handle.driver.owned()) == {good.name}


def test_keeping_what_is_absent_does_nothing(handle):
    handle.driver.keep(UNKNOWN, handle.now() + timedelta(hours=1), 7)
    assert handle.driver.observe(UNKNOWN).phase is Phase.ABSENT
    assert list(handle.driver.owned()) == []


def test_an_endpoint_that_is_kept_lives_on(handle):
    spec = handle.good()
    start(handle, spec, seconds=2)
    ends = handle.now() + timedelta(seconds=2)
    handle.driver.keep(spec, handle.now() + timedelta(hours=1), 2)
    watch(handle, spec, Phase.READY)
    until = ends + timedelta(seconds=1)
    while handle.now() < until:
        handle.pass_time()
        assert handle.driver.observe(spec).phase is Phase.READY


def test_an_endpoint_that_is_not_kept_ends_by_itself_with_a_reason(leashed):
    spec = leashed.good()
    start(leashed, spec)
    watch(leashed, spec, Phase.READY)
    leashed.driver.keep(spec, leashed.now() + timedelta(seconds=0.5), 2)
    gone = watch(leashed, spec, Phase.ABSENT)[-1]
    assert "time used up" in gone.reason


def test_it_never_ends_before_its_deadline(leashed):
    spec = leashed.good()
    start(leashed, spec, seconds=600)
    deadline = leashed.now() + timedelta(seconds=1.2)
    leashed.driver.keep(spec, deadline, 2)
    assert watch(leashed, spec, Phase.ABSENT)[-1].since >= deadline


def test_keep_with_a_lower_version_is_ignored(leashed):
    spec = leashed.good()
    start(leashed, spec, seconds=600, version=5)
    leashed.driver.keep(spec, leashed.now() + timedelta(seconds=1), 6)
    leashed.driver.keep(spec, leashed.now() + timedelta(hours=1), 5)
    watch(leashed, spec, Phase.ABSENT)


def test_keep_at_the_same_version_moves_the_deadline(leashed):
    spec = leashed.good()
    start(leashed, spec, seconds=2, version=5)
    leashed.driver.keep(spec, leashed.now() + timedelta(hours=1), 5)
    watch(leashed, spec, Phase.READY)
    leashed.driver.keep(spec, leashed.now() + timedelta(seconds=1), 5)
    watch(leashed, spec, Phase.ABSENT)


def test_a_new_start_is_not_bound_by_the_versions_of_the_run_before(leashed):
    spec = leashed.good()
    start(leashed, spec, seconds=600, version=50)
    leashed.driver.stop(spec)
    watch(leashed, spec, Phase.ABSENT)
    start(leashed, spec, seconds=1, version=3)
    watch(leashed, spec, Phase.ABSENT)
