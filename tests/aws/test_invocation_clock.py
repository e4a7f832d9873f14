"""The clock of one invocation: order, overlap, retries and the horizon."""

import threading
from datetime import timedelta

from parkmeter.aws.invocation_clock import LATEST, WORKERS, InvocationClock
from parkmeter.aws.wiring import PATIENCE
from parkmeter.drivers.sagemaker import CLIENT_CONFIG
from tests.support.wound_sagemaker import Wound

SECOND = timedelta(seconds=1)


def clock_of(wound: Wound, seconds: float = 60) -> InvocationClock:
    """Return a run that waits for what falls due within `seconds`; its pauses wind the time."""
    until = wound.now() + timedelta(seconds=seconds)
    return InvocationClock(wound.now, lambda pause: wound.wind(seconds=pause), until)


def test_a_name_that_is_woken_while_its_step_runs_gets_another_step(clock: Wound) -> None:
    run, begun = clock_of(clock), []
    overlapping = threading.Lock()

    def step(name: str) -> None:
        with overlapping:  # never two steps of one name
            begun.append(name)
            if len(begun) == 1:
                run.wake(name)

    run.wake("a")
    assert run.run(step) == set()
    assert begun == ["a", "a"]


def test_a_step_is_repeated_at_the_time_it_returned(clock: Wound) -> None:
    run, begun, start = clock_of(clock), [], clock.now()

    def step(_name: str):
        begun.append(clock.now() - start)
        return start + 5 * SECOND if len(begun) == 1 else None

    run.wake("a", start + 2 * SECOND)
    run.run(step)
    assert begun == [2 * SECOND, 5 * SECOND]


def test_the_name_that_is_due_longest_comes_first(clock: Wound) -> None:
    run, begun = clock_of(clock), []
    for number in range(3 * WORKERS):
        run.wake(f"n{number}")
    run.wake("due", clock.now() - SECOND)
    run.run(begun.append)
    assert begun[0] == "due"
    assert len(begun) == 3 * WORKERS + 1


def test_not_more_steps_run_at_once_than_there_are_workers(clock: Wound) -> None:
    run, at_once, most = clock_of(clock), 0, 0
    changing, full = threading.Lock(), threading.Barrier(WORKERS)

    def step(_name: str) -> None:
        nonlocal at_once, most
        with changing:
            at_once += 1
            most = max(most, at_once)
        full.wait(30)  # until all workers are at work
        with changing:
            at_once -= 1

    for number in range(2 * WORKERS):
        run.wake(f"n{number}")
    run.run(step)
    assert most == WORKERS


def test_a_failed_step_is_retried_and_reported_if_the_last_one_failed(clock: Wound) -> None:
    run, begun, start = clock_of(clock, 10), [], clock.now()

    def step(name: str) -> None:
        begun.append((name, (clock.now() - start).total_seconds()))
        if name == "broken" or len(begun) < 3:
            raise RuntimeError(name)

    run.wake("broken")
    run.wake("hiccup")
    assert run.run(step) == {"broken"}
    assert [at for name, at in begun if name == "broken"] == [0, 1, 3, 7]


def test_what_is_due_after_the_horizon_is_left_to_a_later_run(clock: Wound) -> None:
    run, begun = clock_of(clock, 60), []
    run.wake("soon", clock.now() + 60 * SECOND)
    run.wake("later", clock.now() + 61 * SECOND)
    run.run(begun.append)
    assert begun == ["soon"]


def test_where_steps_take_long_no_step_begins_long_after_the_horizon(clock: Wound) -> None:
    run, begun, start = clock_of(clock, 60), [], clock.now()
    changing = threading.Lock()

    def step(name: str) -> None:
        with changing:
            begun.append(clock.now() - start)
            clock.wind(seconds=1)
        raise RuntimeError(name)  # as AWS refuses most of the calls

    for number in range(300):
        run.wake(f"n{number}")
    assert len(run.run(step)) > 0
    assert max(begun) <= 60 * SECOND + LATEST + WORKERS * SECOND


def test_every_worker_has_a_connection_of_its_own() -> None:
    for patience in (PATIENCE, CLIENT_CONFIG):
        assert patience.max_pool_connections >= WORKERS
