"""Runs a stand-in by its file: `run.py FILE ARGUMENT…`; isolated Python does not find `serving`."""

import runpy
import sys
from pathlib import Path

file = sys.argv[1]
sys.path.insert(0, str(Path(file).parent))
sys.argv = sys.argv[1:]
runpy.run_path(file, run_name="__main__")
