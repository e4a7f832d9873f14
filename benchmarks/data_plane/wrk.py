"""wrk as the generator of load, where it is installed: its script, and what it says at the end."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_plane.load import Load, RefusedError
from benchmarks.data_plane.peer import Program
from benchmarks.data_plane.questions import Question
from benchmarks.data_plane.sources import from_system

SHORTEST_SECONDS = 1.0
"""It takes whole seconds only."""

_MARK = "parkmeter-load "
_DONE = f"""
function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format(
    '{_MARK}{{"requests": %d, "microseconds": %d, "p50": %d, "failed": %d, "refused": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50),
    wrong.connect + wrong.read + wrong.write + wrong.timeout, wrong.status))
end
"""


_PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")


def find(*, install: bool) -> Program:
    """Return wrk; raises UnavailableError without it."""
    return from_system("wrk", _PACKAGES, ("-v",), install=install)


@dataclass(frozen=True, slots=True)
class Wrk:
    """One thread of it; `folder` is for its script."""

    program: Program
    folder: Path

    def drive(self, port: int, question: Question, clients: int, seconds: float) -> Load:
        """Ask with that many clients for that long.

        Raises:
            RefusedError: When not every request was answered with success.
        """
        file = self.folder / "question.lua"
        file.write_text(script(question), encoding="utf-8")
        command = [
            self.program.path,
            "-t1",
            f"-c{clients}",
            f"-d{round(seconds)}s",
            "--timeout=20s",
        ]
        command += [f"--script={file}", f"http://127.0.0.1:{port}{question.path}"]
        done = subprocess.run(
            command,
            env={**os.environ, **self.program.environment},
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        return read(done.stdout + done.stderr)


def script(question: Question) -> str:
    """Return the Lua script that sends the question and prints the figures in one line."""
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(question.body.decode())}"]
    lines += [
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in question.headers.items()
    ]
    return "\n".join(lines) + _DONE


def read(output: str) -> Load:
    """Return the figures of that line.

    Raises:
        RefusedError: When not every request was answered with success.
    """
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise RefusedError(f"wrk said nothing of its figures: {output.strip()}")
    said = json.loads(lines[-1].removeprefix(_MARK))
    if said["failed"] or said["refused"] or not said["requests"]:
        raise RefusedError(
            f"{said['requests']} requests, {said['refused']} refused, {said['failed']} failed"
        )
    return Load(said["requests"], said["microseconds"] / 1e6, said["p50"] / 1e6)
