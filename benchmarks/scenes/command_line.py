"""The command line.

Processor time of whole commands, in turn with an interpreter that does nothing. `status` asks a
running gateway.
"""

import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Effort, Figure, Measured
from benchmarks.gateway import Gateway, endpoint, gateway
from benchmarks.machine import ROOT
from benchmarks.processes import LOAD_CORE, on_core

NOTHING = "python -c pass"


def measure(effort: Effort) -> Measured:
    """Run the commands in turn."""
    with gateway(endpoint("flan")) as running, on_core(LOAD_CORE):
        parkmeter = str(Path(sys.executable).with_name("parkmeter"))
        commands = {
            "parkmeter status": [parkmeter, "status"],
            "parkmeter --help": [parkmeter, "--help"],
            "parkmeter top-up --help": [parkmeter, "top-up", "--help"],
            NOTHING: [sys.executable, "-c", "pass"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _seconds(command, running)  # writes the bytecode
        for _ in range(effort.rounds(11)):
            for name, command in commands.items():
                taken[name].append(_seconds(command, running))
    return Measured(tuple(Figure(name, "CPU", tuple(s), "s") for name, s in taken.items()))


def _seconds(command: list[str], running: Gateway) -> float:
    environment = {
        "HOME": str(running.state),
        "PARKMETER_URL": f"http://127.0.0.1:{running.port}",
        "PARKMETER_TOKEN": running.token,
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
