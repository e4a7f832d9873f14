"""wrk as the generator of load for prompts: its script, and the figures it prints at the end."""

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clients import RefusedError
from benchmarks.processes import LOAD_CORE, on_core
from benchmarks.requests import DIFFERENT_HEADS, Prompt

_MARK = "parkmeter-load "
_DONE = f"""
function done(summary, latency, requests)
  local wrong = summary.errors
  io.write(string.format(
    '{_MARK}{{"requests": %d, "us": %d, "p50": %d, "p99": %d, "failed": %d, "refused": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    wrong.connect + wrong.read + wrong.write + wrong.timeout, wrong.status))
end
"""
_DIFFERING = f"""
local heads, number = {{}}, 0
function init(arguments)
  for one = 1, {DIFFERENT_HEADS} do
    wrk.headers["traceparent"] = string.format("00-%032x-%016x-01", one, one)
    wrk.headers["x-request-id"] = string.format("%032x", one)
    heads[one] = wrk.format()
  end
end
function request()
  number = number % {DIFFERENT_HEADS} + 1
  return heads[number]
end
"""


class NoWrkError(Exception):
    """Raised where wrk is not installed."""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of one window; times in seconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def load(port: int, prompt: Prompt, clients: int, seconds: float) -> Load:
    """Send prompts from that many clients, each one at a time.

    Raises:
        NoWrkError: Where it is not installed.
        RefusedError: When not every request was answered with success.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NoWrkError("wrk is not installed: apt-get install wrk")
    with TemporaryDirectory(prefix="wrk-") as folder, on_core(LOAD_CORE):
        file = Path(folder) / "prompt.lua"
        file.write_text(script(prompt), encoding="utf-8")
        options = ["-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout=20s"]
        command = [wrk, *options, f"--script={file}", f"http://127.0.0.1:{port}{prompt.path}"]
        output = _run(command, seconds)
    return read(output)


def _run(command: list[str], seconds: float) -> str:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as wrk:
        try:
            return wrk.communicate(timeout=seconds if seconds < 1 else seconds + 60)[0]
        except subprocess.TimeoutExpired:
            wrk.send_signal(signal.SIGINT)  # it stops, and prints its figures
            return wrk.communicate(timeout=30)[0]


def script(prompt: Prompt) -> str:
    """Return the Lua script that sends the prompt and prints the figures in one line."""
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(prompt.body.decode())}"]
    lines += [
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in prompt.headers.items()
    ]
    return "\n".join(lines) + _DIFFERING * prompt.differing + _DONE


def read(output: str) -> Load:
    """Return the figures of that line.

    Raises:
        RefusedError: When not every request was answered with success.
    """
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise RefusedError(f"wrk printed no figures: {output.strip()}")
    found = json.loads(lines[-1].removeprefix(_MARK))
    if found["failed"] or found["refused"] or not found["requests"]:
        raise RefusedError(
            f"{found['requests']} requests, {found['refused']} refused, {found['failed']} failed"
        )
    return Load(found["requests"], found["us"] / 1e6, found["p50"] / 1e6, found["p99"] / 1e6)
