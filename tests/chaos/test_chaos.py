"""A short run of random faults on a real gateway; `make chaos` is the long one."""

import random
import sys

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.report import report
from tests.chaos.run import Plan, run

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and signals to others"),
]


@pytest.mark.timeout(300)  # half a minute, on a machine that may be busy
def test_random_faults_break_no_promise(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"python -m tests.chaos --seed {seed} --minutes 0.5 --longest 1.5")
    ledger, faults = run(Plan(seed, seconds=30, longest=1.5), tmp_path, print)
    assert not ledger.broken, report(ledger, faults)
    assert faults.total() >= 3
    assert set(faults) <= set(FAULTS)
