"""A few thousand steps of the simulation; `make soak` runs many more."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.runner import every_call, run, run_seed, soak, stores
from tests.simulation.world import Deployment


def broken(outcomes):
    return "\n\n".join(f"{one.replay(one.steps)}\n{one.violation}" for one in outcomes)


@pytest.mark.parametrize(("store", "steps"), [("memory", 3000), ("sqlite", 800), ("moto", 120)])
def test_no_promise_is_broken_in_any_history(store, steps):
    totals = soak(store, steps, length=min(steps, 200))
    assert not totals.violations, broken(totals.violations)
    assert totals.steps >= steps
    assert totals.faults > 0


@pytest.mark.parametrize("deployment", list(Deployment))
def test_no_promise_is_broken_by_one_fault_at_any_port_call(deployment):
    totals = every_call(seed=5, kind="memory", deployment=deployment, steps=12)
    assert not totals.violations, broken(totals.violations)
    assert totals.histories > 100


@pytest.mark.parametrize("deployment", list(Deployment))
def test_one_seed_is_one_history(deployment):
    with stores("memory") as make:
        first, second = (run_seed(7, "memory", make, deployment, 150) for _ in range(2))
    assert first.lines == second.lines


@given(st.randoms(use_true_random=False), st.sampled_from(Deployment))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_promise_is_broken_in_a_history_that_is_looked_for(chance: Random, deployment):
    with stores("memory") as make:
        world, violation = run(chance, make, deployment, 30)
    assert violation is None, "\n".join(map(str, world.lines)) + f"\n{violation}"
