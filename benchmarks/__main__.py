"""Runs every benchmark, one after the other, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

for script in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    if script.stem == "report":
        continue
    print(f"\n── {script.stem} ──", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{script.stem}"], check=True)
