"""The watchdog of a run: a process of its own that ends the run if the run does not end itself.

    python -m tools.smoke_aws.watchdog RUN.json < pipe

The run writes lines into the pipe: `started GROUP` and `ended GROUP` for the process groups of CDK,
`done` at the end. If the pipe closes before that, the run has died: it is killed, interrupted or
out of memory. Then, or when its time is over, the watchdog ends CDK and deletes everything. Ctrl-C
and a closed terminal do not reach it.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO

from simulator.cdk_command import end_group
from tools.smoke_aws.cleanup import end_everything, manual_commands
from tools.smoke_aws.run import PROJECT, Run, now

PATIENCE = timedelta(minutes=60)
"""How long an endpoint may be in creation, during which SageMaker refuses to delete it."""

LOG = "watchdog.log"
READY = "watching"


class Watchdog:
    """The run's side: starts the process and reports to it."""

    def __init__(self, run: Run) -> None:
        self.log = run.folder / LOG
        with self.log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 (this program)
                [sys.executable, "-m", "tools.smoke_aws.watchdog", str(run.file)],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C and the end of the terminal reach the session of the run only.
                start_new_session=True,
            )
        assert self._process.stdin is not None  # noqa: S101 (for the type checker)
        self._pipe: IO[str] = self._process.stdin
        self._writing = threading.Lock()

    def ready(self, seconds: float) -> bool:
        """Return whether it watches, after this time at the latest."""
        deadline = now() + timedelta(seconds=seconds)
        pause = threading.Event()
        while now() < deadline and self._process.poll() is None:
            if READY in self.log.read_text(encoding="utf-8"):
                return True
            pause.wait(0.1)
        return False

    def say(self, line: str) -> None:
        """Report something; a watchdog that has gone is not needed to go on."""
        with self._writing, suppress(OSError, ValueError):
            self._pipe.write(f"{line}\n")
            self._pipe.flush()

    def let_go(self) -> int:
        """Close the pipe and wait for the end; return the exit code: 1 if something is left."""
        with self._writing, suppress(OSError):
            self._pipe.close()
        return self._process.wait()


def main() -> int:
    """Watch until the run is done, or end it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run, runner = Run.read(Path(sys.argv[1])), os.getppid()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    _say(f"{READY} {run.prefix} until {run.ends:%H:%M:%S} UTC")
    groups: set[int] = set()
    while True:
        left = (run.ends - now()).total_seconds()
        try:
            line = lines.get(timeout=max(0.0, left))
        except queue.Empty:
            _say("the time is over")
            if os.getppid() == runner:
                os.kill(runner, signal.SIGTERM)
            break
        if line == "done":
            _say("the run has ended by itself")
            return 0
        if line is None:
            _say("the run is gone")
            break
        word, _, group = line.partition(" ")
        match word:
            case "started":
                groups.add(int(group))
            case "ended":
                groups.discard(int(group))
            case _:
                _say("the run could not delete everything")
                break
    for started in groups:
        end_group(started)
    # Written by the run meanwhile: names of models that are left behind.
    run = Run.read(run.file)
    left_over = end_everything(run, _say, now() + PATIENCE)
    if left_over:
        _say("These are left:", *left_over, "By hand:", *manual_commands(run))
        return 1
    _say("everything is deleted")
    return 0


def _read(lines: "queue.SimpleQueue[str | None]") -> None:
    for line in sys.stdin:
        lines.put(line.strip())
    lines.put(None)


def _say(*lines: str) -> None:
    for line in lines:
        print(f"{now():%H:%M:%S} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
