"""Requests of one kind keep no others waiting, and tokens take turns."""

import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.change_rate import ChangeRate, TooManyChangesError
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.lanes import MOST_OF_ONE, GatewayBusyError, Lane
from parkmeter.core.tokens import Scope
from parkmeter.web.auth import TokenBook
from tests.support.control_routes import ADMIN, LOOKER, SEED, Front, problem, token
from tests.support.world import NOON


async def settled() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


def test_tokens_take_turns_in_a_full_lane():
    order: list[str] = []

    async def scenario() -> None:
        lane, first = Lane(1), threading.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(lane.run, "ada", first.wait)
            await settled()
            for _ in range(5):
                group.start_soon(lane.run, "ada", lambda: order.append("ada"))
            await settled()
            group.start_soon(lane.run, "bob", lambda: order.append("bob"))
            await settled()
            assert lane.waiting == 6
            first.set()
        assert lane.waiting == 0

    anyio.run(scenario)
    assert order.index("bob") <= 1
    assert order.count("ada") == 5


def test_a_request_whose_client_left_gives_its_turn_to_the_next():
    async def scenario() -> list[str]:
        lane, first, done = Lane(1), threading.Event(), []
        async with anyio.create_task_group() as group:
            group.start_soon(lane.run, "ada", first.wait)
            await settled()
            leaving = anyio.CancelScope()

            async def leave() -> None:
                with leaving:
                    await lane.run("bob", lambda: done.append("bob"))

            group.start_soon(leave)
            await settled()
            leaving.cancel()
            await settled()
            assert lane.waiting == 0
            group.start_soon(lane.run, "cleo", lambda: done.append("cleo"))
            await settled()
            first.set()
        return done

    assert anyio.run(scenario) == ["cleo"]


def test_too_many_waiting_requests_of_one_token_are_refused_and_others_still_wait():
    async def scenario() -> None:
        lane, first = Lane(1), threading.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(lane.run, "ada", first.wait)
            await settled()
            for _ in range(MOST_OF_ONE):
                group.start_soon(lane.run, "ada", int)
            await settled()
            with pytest.raises(GatewayBusyError, match="with this token"):
                await lane.run("ada", int)
            group.start_soon(lane.run, "bob", int)
            await settled()
            assert lane.waiting == MOST_OF_ONE + 1
            first.set()

    anyio.run(scenario)


def test_a_lane_that_raised_or_was_full_is_free_again():
    async def scenario() -> int:
        lane = Lane(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await lane.run("ada", lambda: 1 // 0)
        return await lane.run("ada", lambda: 7)

    assert anyio.run(scenario) == 7


# ── The rate of changes ──────────────────────────────────────────────────────────────────────────


def test_a_token_makes_a_burst_of_changes_and_then_ten_a_second():
    now = [0.0]
    rate = ChangeRate(lambda: (300, 10.0), ticks=lambda: now[0])
    for _ in range(300):
        rate.take("ada")
    with pytest.raises(TooManyChangesError) as refused:
        rate.take("ada")
    assert refused.value.retry_after == 1
    rate.take("bob")
    rate.take("ada", "eject")
    now[0] += 1.0
    for _ in range(10):
        rate.take("ada")
    with pytest.raises(TooManyChangesError):
        rate.take("ada")


def test_buckets_that_are_full_are_forgotten(monkeypatch):
    monkeypatch.setattr("parkmeter.api.change_rate._MOST_BUCKETS", 10)
    now = [0.0]
    rate = ChangeRate(lambda: (2, 1.0), ticks=lambda: now[0])
    for number in range(100):
        rate.take(f"token {number}")
        now[0] += 1.0
    assert len(rate._buckets) <= 11


@pytest.fixture
def limited(front: Front) -> Front:
    tokens = [token("admin-pass-code", frozenset(Scope)), token("seed-pass-code")]
    rate = ChangeRate(lambda: (3, 0.001), ticks=lambda: 0.0)
    context = ApiContext(front.world.service, TokenBook(tokens), str, lambda: NOON, rate=rate)
    return Front(front.world, TestClient(control_app(context), raise_server_exceptions=False))


def test_changes_beyond_the_rate_are_429_with_retry_after_and_add_no_line(limited):
    for _ in range(3):
        assert limited.post("/endpoints/flan-t5/top-ups", {"minutes": 1}, SEED).status_code == 201
    refused = limited.post("/endpoints/flan-t5/top-ups", {"minutes": 1}, SEED)
    problem(refused, 429, "too_many_changes")
    assert int(refused.headers["retry-after"]) == 1000
    problem(limited.post("/endpoint-expiry", {"minutes": 1}, SEED), 429, "too_many_changes")
    assert len(limited.world.lines()) == 3
    # Others are not touched by it, nor is stopping.
    assert limited.post("/endpoints/flan-t5/top-ups", {"minutes": 1}).status_code == 201
    assert limited.post("/endpoints/flan-t5/eject", {}).status_code == 200


def test_a_refused_or_malformed_request_counts_as_no_change(limited):
    for _ in range(5):
        limited.post("/endpoints/flan-t5/top-ups", {"minutes": 0.0000001}, SEED)
    assert limited.post("/endpoints/flan-t5/top-ups", {"minutes": 1}, SEED).status_code == 201


def test_a_tiny_top_up_is_refused_in_plain_words(front):
    for body in ({"minutes": 0.0000001}, {"dollars": "0.0001"}):
        said = problem(front.post("/endpoints/flan-t5/top-ups", body), 400, "invalid_request")
        assert "second" in said["detail"]
    assert front.world.lines() == []


def test_a_timeline_of_the_first_day_of_all_is_refused(front):
    answer = front.get("/endpoints/flan-t5/timeline?to=0001-01-01T00:00:00-14:00", headers=LOOKER)
    assert problem(answer, 400, "invalid_request")["field"] == "to"
    assert front.get("/whoami", headers=ADMIN).status_code == 200


def test_the_first_call_loads_nothing_once_it_is_prepared():
    program = """
import asyncio, sys
from parkmeter.api.lanes import Lane, prepare

async def main():
    await prepare()
    before = set(sys.modules)
    await Lane(1).run("a1", len, "")
    print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
