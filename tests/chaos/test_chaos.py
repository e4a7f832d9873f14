"""Short runs of random faults; `make chaos` has the long ones."""

import random
import sys

import pytest

from tests.chaos import cloud
from tests.chaos.faults import FAULTS
from tests.chaos.report import report
from tests.chaos.run import Plan, run

pytestmark = pytest.mark.extended


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and signals to others")
@pytest.mark.timeout(600)  # a minute; the bounds of one fault, its recovery and the end add up
def test_random_faults_break_no_promise(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"python -m tests.chaos --seed {seed} --minutes 0.5 --longest 1.5")
    ledger, faults = run(Plan(seed, seconds=30, longest=1.5), tmp_path, print)
    assert not ledger.broken, report(ledger, faults)
    assert set(faults) <= set(FAULTS)
    assert faults


@pytest.mark.timeout(600)  # half a minute, on a machine that may be very busy
def test_random_faults_of_aws_break_no_promise():
    seed = random.randrange(1 << 32)
    print(f"python -m tests.chaos.cloud --seed {seed} --hours 0.2")
    ledger, faults, hits = cloud.run(seed, hours=0.2)
    assert not ledger.broken, report(ledger, faults)
    assert hits.total() > 10
