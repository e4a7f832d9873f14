"""The examples of docs/hours.md."""

import re
from datetime import date
from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from parkmeter.core.hours import Hours

GUIDE = (Path(__file__).parents[2] / "docs" / "hours.md").read_text(encoding="utf-8")
SETTINGS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
CHANGES = re.findall(r"^\| `(.+?)` \| (\S+) \| (\S+) \|$", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("text", SETTINGS)
def test_the_settings_are_right(tmp_path, text):
    file = tmp_path / "parkmeter.toml"
    file.write_text(text)
    (spec,) = load_settings(config=file, environment={}).specs().values()
    assert spec.hours or spec.idle


@pytest.mark.parametrize(("hours", "day", "runs"), CHANGES)
def test_the_clock_changes_are_as_documented(hours, day, runs):
    (window,) = Hours.of([hours]).within(date.fromisoformat(day), 1)
    assert f"{window.begin:%H:%M}-{window.end:%H:%M}" == runs


def test_there_are_examples():
    assert (len(SETTINGS), len(CHANGES)) == (4, 4)
