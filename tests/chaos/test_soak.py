"""A short soak of a real gateway; `make soak` is the long one."""

import sys

import pytest

from tests.chaos.soak import Crowd, soak

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


@pytest.mark.timeout(240)  # half a minute, on a machine that may be busy
def test_memory_and_descriptors_stay_flat_under_idle_busy_and_slow_connections(tmp_path):
    crowd = Crowd(idle=300, busy=32, slow_readers=8, slow_senders=8, rate=50)
    figures = soak(tmp_path, 30, crowd)
    assert not figures.failures, figures.table()
