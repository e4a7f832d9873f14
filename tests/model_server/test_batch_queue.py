"""Requests that share a batch, and a full queue."""

import threading

import pytest

from parkmeter.model_server.batch_queue import (
    MAX_BATCH_TEXTS,
    MIN_SHARE,
    BatchQueue,
    Job,
    QueueFullError,
)
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.payload import Payload


def job(prompts: int = 1, **parameters: object) -> Job:
    return Job(plan(Payload(("hello",) * prompts, **parameters)), on_done=lambda outcome: None)


def queue_of(*jobs: Job, capacity: int = 512, workers: int = 1) -> BatchQueue:
    queue = BatchQueue(capacity, workers)
    for one in jobs:
        queue.put(one)
    return queue


def test_equal_requests_that_wait_go_together():
    jobs = [job(), job(), job()]
    assert queue_of(*jobs).take() == jobs


def test_a_request_decoded_differently_waits_for_its_own_batch():
    first, other, third = job(), job(max_length=5), job()
    queue = queue_of(first, other, third)
    assert queue.take() == [first, third]
    assert queue.take() == [other]


def test_a_batch_has_a_largest_size():
    queue = queue_of(*(job() for _ in range(MAX_BATCH_TEXTS + 1)))
    assert len(queue.take()) == MAX_BATCH_TEXTS
    assert len(queue.take()) == 1


def test_each_worker_takes_its_share_of_what_waits():
    queue = queue_of(*(job() for _ in range(20)), workers=2)
    assert len(queue.take()) == 10
    assert len(queue.take()) == 10


def test_what_another_worker_is_busy_with_is_its_share():
    queue = queue_of(job(), workers=2)
    alone = queue.take()
    for _ in range(31):
        queue.put(job())
    assert len(queue.take()) == 16
    queue.done(alone)
    assert len(queue.take()) == 15


def test_what_is_done_is_in_no_share():
    queue = queue_of(*(job() for _ in range(30)), workers=2)
    for batch in (queue.take(), queue.take()):
        queue.done(batch)
    for _ in range(24):
        queue.put(job())
    assert len(queue.take()) == 12


def test_few_requests_are_not_torn_apart():
    queue = queue_of(*(job() for _ in range(MIN_SHARE)), workers=2)
    assert len(queue.take()) == MIN_SHARE


def test_a_request_larger_than_a_batch_goes_alone():
    large, small = job(prompts=100), job()
    queue = queue_of(large, small)
    assert queue.take() == [large]
    assert queue.take() == [small]


def test_beams_count_as_texts():
    queue = queue_of(*(job(num_beams=16) for _ in range(3)))
    assert len(queue.take()) == 2


def test_a_request_with_a_seed_goes_alone():
    seeded, unseeded = job(temperature=1.0, seed=7), job(temperature=1.0)
    queue = queue_of(seeded, unseeded)
    assert queue.take() == [seeded]
    assert queue.take() == [unseeded]


def test_while_one_seed_runs_the_next_is_passed_by():
    first, second, unseeded = job(do_sample=True, seed=1), job(do_sample=True, seed=1), job()
    queue = queue_of(first, second, unseeded)
    batch = queue.take()
    assert queue.take() == [unseeded]
    queue.done(batch)
    assert queue.take() == [second]


def test_a_waiting_worker_is_woken_for_what_came_meanwhile():
    queue = queue_of()
    taken: list[list[Job]] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take()))
    waiter.start()
    jobs = [job(), job(), job()]
    for one in jobs:
        queue.put(one)
    queue.wake()
    waiter.join(5)
    assert taken[0][0] is jobs[0]


def test_a_worker_waiting_for_a_seed_to_finish_is_woken_by_it():
    queue = queue_of(job(do_sample=True, seed=1), job(do_sample=True, seed=2))
    first = queue.take()
    taken: list[list[Job]] = []
    waiter = threading.Thread(target=lambda: taken.append(queue.take()))
    waiter.start()
    queue.done(first)
    waiter.join(5)
    assert [batch[0].plan.seed for batch in taken] == [2]


def test_a_full_queue_refuses_and_takes_again_when_there_is_room():
    queue = queue_of(job(), job(), capacity=2)
    with pytest.raises(QueueFullError):
        queue.put(job())
    queue.take()
    queue.put(job())
    assert queue.weight == 1


def test_an_empty_queue_takes_a_request_of_any_size():
    assert queue_of(job(prompts=100), capacity=2).weight == 100


def test_a_cancelled_request_is_dropped():
    gone, wanted = job(), job()
    queue = queue_of(gone, wanted)
    gone.cancelled = True
    assert queue.take() == [wanted]
    assert queue.weight == 0
