"""The journal in the log: one line per entry, for people."""

import logging
from dataclasses import replace
from datetime import timedelta

from parkmeter.notify.log import LogNotifier
from tests.support.world import World


def test_a_line_gives_minutes_as_people_read_them(caplog):
    world = World()
    entry = replace(world.top_up(30), amount=timedelta(seconds=-3587.987707), why="given up")
    with caplog.at_level(logging.INFO, "parkmeter.journal"):
        LogNotifier().send(entry)
    assert "flan-t5 top-up by ada: -59.8 min given up; expires" in caplog.text
