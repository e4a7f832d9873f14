"""A few thousand steps of the simulation; `make soak` runs many more."""

import logging
import os
import subprocess
import sys

import pytest

from tests.simulation.runner import every_call, run_seed, soak, stores
from tests.simulation.world import Deployment


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Keep the log of injected faults from being written down for a report."""
    monkeypatch.setattr(logging.getLogger("parkmeter"), "propagate", False)


def broken(outcomes):
    return "\n\n".join(f"{one.replay(one.steps)}\n{one.violation}" for one in outcomes)


@pytest.mark.parametrize(
    ("store", "steps"),
    [("memory", 2000), ("sqlite", 500), pytest.param("moto", 60, marks=pytest.mark.extended)],
)
def test_no_promise_is_broken_in_any_history(store, steps):
    totals = soak(store, steps, length=min(steps, 200))
    assert not totals.violations, broken(totals.violations)
    assert totals.steps >= steps
    assert totals.faults > 0


@pytest.mark.parametrize("deployment", list(Deployment))
def test_no_promise_is_broken_by_one_fault_at_any_port_call(deployment):
    totals = every_call(seed=5, kind="memory", deployment=deployment, steps=12, most=25)
    assert not totals.violations, broken(totals.violations)
    assert totals.histories > 20


@pytest.mark.parametrize("deployment", list(Deployment))
def test_one_seed_is_one_history(deployment):
    with stores("memory") as make:
        first, second = (run_seed(7, "memory", make, deployment, 150) for _ in range(2))
    assert first.lines == second.lines


def test_the_history_that_was_printed_is_replayed_by_another_process():
    """Sets of names are in another order there."""
    command = [
        sys.executable,
        "-m",
        "tests.simulation",
        "--seed",
        "116",
        "--steps",
        "60",
        "--print",
    ]
    histories = [
        subprocess.run(
            [*command, "--store", "memory"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert histories[0] == histories[1]
