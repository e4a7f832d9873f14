"""File descriptors: what clients may have of them, and what is kept for meters."""

import subprocess
import sys

import pytest

from parkmeter.gateway.descriptors import limit, open_count, share


@pytest.mark.parametrize("descriptors", [64, 256, 1024, 4096, 20_000, 1 << 20])
def test_all_clients_and_their_model_servers_together_leave_some(descriptors):
    most = share(descriptors, None, None).connections
    assert 16 <= most <= 10_000
    assert descriptors - 2 * most >= min(256, descriptors // 2)


def test_two_thousand_idle_and_256_busy_clients_fit_where_systems_of_today_set_the_limit():
    assert share(524_288, None, None).connections == 10_000
    assert share(524_288, None, None).per_peer == 2500
    assert share(20_000, None, None).connections > 2256


def test_settings_may_ask_for_less_and_get_no_more_than_there_is():
    assert (share(20_000, 100, 10).connections, share(20_000, 100, 10).per_peer) == (100, 10)
    assert share(1024, 5000, 4000).connections == 384
    assert share(1024, 5000, 4000).per_peer == 384


def test_open_files_are_counted(tmp_path):
    before = open_count()
    assert before is not None
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        assert open_count() == before + 2
    assert 0 < before < limit()


def test_the_limit_is_raised_to_the_hard_one():
    script = (
        "import resource; from parkmeter.gateway.descriptors import raise_limit;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300));"
        "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["100", "300", "300"], "the one before, soft, hard"


def test_with_no_descriptor_left_the_count_says_so():
    script = (
        "import os, resource; from parkmeter.gateway.descriptors import open_count;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "try:\n"
        "    while True: os.dup(0)\n"
        "except OSError:\n"
        "    print(open_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "64"
