"""Every benchmark runs, in its shortest form, so that none of them rots."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORTEST = {
    "aws_scale": ("--smoke",),
    "command_line": ("--rounds", "1"),
    "data_plane": ("--seconds", "0.2", "--rounds", "1"),
    "exactness": ("--smoke",),
    "growth": ("--smoke",),
    "lambda_start": ("--rounds", "1", "--platform", "local"),
    "long_journal": ("--smoke",),
    "model_server": ("--smoke",),
    "start": ("--rounds", "1"),
    "top_ups": ("--smoke",),
}


def test_every_benchmark_is_tried_here():
    scripts = {file.stem for file in (ROOT / "benchmarks").glob("[a-z]*.py")} - {"report"}
    assert scripts == set(SHORTEST)


@pytest.mark.parametrize("script", SHORTEST)
def test_it_measures_something(script):
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script}", *SHORTEST[script]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # With --smoke the script itself fails when nothing was measured.
    assert "--smoke" in SHORTEST[script] or "median" in done.stdout
