"""The weight of an import: every Lambda that knows a port pays for what `ports` loads."""

import subprocess
import sys

_ENGINE = (
    "close_warnings",
    "decide",
    "decide_closed",
    "decide_open",
    "events",
    "idle",
    "money",
    "receipt",
    "schedule",
    "timeline",
)


def test_importing_the_ports_does_not_load_the_decision_engine():
    code = "import sys, parkmeter.ports; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "parkmeter.core.meter" in loaded
    assert not {f"parkmeter.core.{module}" for module in _ENGINE} & set(loaded)
