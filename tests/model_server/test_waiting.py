"""Who may share a batch, and when the line is full."""

import threading

import pytest

from parkmeter.model_server.batch_queue import (
    LEAST_SHARE,
    MAX_BATCH_TEXTS,
    Job,
    LineFullError,
    WaitingLine,
)
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.payload import Payload


def job(prompts: int = 1, **parameters: object) -> Job:
    return Job(plan(Payload(("hello",) * prompts, **parameters)), on_done=lambda outcome: None)


def line_of(*jobs: Job, capacity: int = 512, workers: int = 1) -> WaitingLine:
    line = WaitingLine(capacity, workers)
    for one in jobs:
        line.put(one)
    return line


def test_equal_requests_that_wait_go_together():
    jobs = [job(), job(), job()]
    assert line_of(*jobs).take() == jobs


def test_a_request_decoded_differently_waits_for_its_own_batch():
    first, other, third = job(), job(max_length=5), job()
    line = line_of(first, other, third)
    assert line.take() == [first, third]
    assert line.take() == [other]


def test_a_batch_has_a_largest_size():
    line = line_of(*(job() for _ in range(MAX_BATCH_TEXTS + 1)))
    assert len(line.take()) == MAX_BATCH_TEXTS
    assert len(line.take()) == 1


def test_each_worker_takes_its_share_of_what_waits():
    line = line_of(*(job() for _ in range(20)), workers=2)
    assert len(line.take()) == 10
    assert len(line.take()) == 10


def test_what_another_worker_is_busy_with_is_its_share():
    line = line_of(job(), workers=2)
    alone = line.take()
    for _ in range(31):
        line.put(job())
    assert len(line.take()) == 16
    line.done(alone)
    assert len(line.take()) == 15


def test_what_is_done_is_nobodys_share():
    line = line_of(*(job() for _ in range(30)), workers=2)
    for batch in (line.take(), line.take()):
        line.done(batch)
    for _ in range(24):
        line.put(job())
    assert len(line.take()) == 12


def test_few_requests_are_not_torn_apart():
    line = line_of(*(job() for _ in range(LEAST_SHARE)), workers=2)
    assert len(line.take()) == LEAST_SHARE


def test_a_request_larger_than_a_batch_goes_alone():
    large, small = job(prompts=100), job()
    line = line_of(large, small)
    assert line.take() == [large]
    assert line.take() == [small]


def test_beams_count_as_texts():
    line = line_of(*(job(num_beams=16) for _ in range(3)))
    assert len(line.take()) == 2


def test_a_request_with_a_seed_goes_alone():
    seeded, unseeded = job(temperature=1.0, seed=7), job(temperature=1.0)
    line = line_of(seeded, unseeded)
    assert line.take() == [seeded]
    assert line.take() == [unseeded]


def test_while_one_seed_runs_the_next_is_passed_by():
    first, second, unseeded = job(do_sample=True, seed=1), job(do_sample=True, seed=1), job()
    line = line_of(first, second, unseeded)
    batch = line.take()
    assert line.take() == [unseeded]
    line.done(batch)
    assert line.take() == [second]


def test_a_waiting_worker_is_woken_for_what_came_meanwhile():
    line = line_of()
    taken: list[list[Job]] = []
    waiter = threading.Thread(target=lambda: taken.append(line.take()))
    waiter.start()
    jobs = [job(), job(), job()]
    for one in jobs:
        line.put(one)
    line.wake()
    waiter.join(5)
    assert taken[0][0] is jobs[0]


def test_a_worker_waiting_for_a_seed_to_finish_is_woken_by_it():
    line = line_of(job(do_sample=True, seed=1), job(do_sample=True, seed=2))
    first = line.take()
    taken: list[list[Job]] = []
    waiter = threading.Thread(target=lambda: taken.append(line.take()))
    waiter.start()
    line.done(first)
    waiter.join(5)
    assert [batch[0].plan.seed for batch in taken] == [2]


def test_a_full_line_refuses_and_takes_again_when_there_is_room():
    line = line_of(job(), job(), capacity=2)
    with pytest.raises(LineFullError):
        line.put(job())
    line.take()
    line.put(job())
    assert line.weight == 1


def test_an_empty_line_takes_a_request_of_any_size():
    assert line_of(job(prompts=100), capacity=2).weight == 100


def test_a_request_nobody_wants_any_more_is_dropped():
    gone, wanted = job(), job()
    line = line_of(gone, wanted)
    gone.cancelled = True
    assert line.take() == [wanted]
    assert line.weight == 0
