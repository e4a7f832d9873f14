"""What a prompt costs, in counts that do not depend on the machine: none of them may grow.

Where one has to: `python -m tests.support.prompt_counts` writes them, and the change shows it.
"""

import sys

import pytest

from tests.support.prompt_counts import KINDS, counted, stored
from tests.support.wound_loop import on_wound_time

CALLS_MORE = 2
BYTES_MORE = 1.1
"""Room for what is not worth a new file; a shorter way is to be stored, or it can grow back."""

WRITTEN_WITH = (3, 11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_costs_no_more_than_is_stored(kind, monkeypatch):
    on_wound_time(monkeypatch, "parkmeter")
    now, then = counted(kind), stored()[kind]
    assert now.calls <= then.calls + CALLS_MORE
    assert (now.writes, now.timers, now.kept) == (then.writes, then.timers, then.kept)
    if sys.version_info[:2] == WRITTEN_WITH:
        assert now.peak_bytes <= then.peak_bytes * BYTES_MORE


def test_a_prompt_is_written_once_on_each_side_and_leaves_nothing():
    for kind, counts in stored().items():
        assert counts.writes == (1 if kind == "event of a stream" else 2)
        assert (counts.timers, counts.kept) == (0, 0)
