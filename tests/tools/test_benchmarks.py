"""Every benchmark runs, in its shortest form, so that none of them rots."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import Claim, read
from benchmarks.running.scripts import found

ROOT = Path(__file__).parents[2]


def test_the_benchmarks_are_found():
    assert {"data_plane", "exactness", "growth", "model_server", "start"} <= set(found())


@pytest.mark.extended
@pytest.mark.parametrize("script", found())
def test_it_measures_something(script):
    assert " to " in _run(f"benchmarks.{script}", "--smoke")


def test_what_was_measured_is_kept_on_one_page(tmp_path):
    page, rows = tmp_path / "RESULTS.md", tmp_path / "rows.json"
    told = _run("benchmarks", "command_line", "--smoke", "--results", str(page))
    assert "claim " in told
    _run("benchmarks.command_line", "--smoke", "--json", str(rows))
    for row in read(rows):
        assert isinstance(row, Claim)
        assert f"| {row.subject} | {row.figure} | " in page.read_text(encoding="utf-8")


def _run(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
