"""From the command to the first generated text, on an installed tree: target 3 s, no network.

Each round uses a fresh state folder: first provisioning, the embedded model, one prompt.

    python -m benchmarks.start [--rounds 5]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Bound, Claim, Effort, Row, main

TOKEN = "a-token-for-benchmarks"
PROMPT = {"text_inputs": "write a story about beautiful weather on a topical island."}


def measure(effort: Effort) -> Iterator[Row]:
    """One claim: seconds of every round."""
    taken = [_first_text() for _ in range(effort.rounds)]
    yield Claim("parkmeter up", "to the first generated text", taken, "s", Bound.AT_MOST, 3.0)


@contextmanager
def gateway(state: Path, *arguments: str) -> Iterator[None]:
    """Run `parkmeter up` on a free port, which `client.json` in `state` names; stop it after."""
    process = subprocess.Popen(
        [sys.executable, "-m", "parkmeter", "up", "--port", "0", "--state", str(state), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN},
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _first_text() -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        with gateway(Path(folder)):
            while not _story(Path(folder)):
                if time.perf_counter() - begun > 60:
                    raise SystemExit("no text within a minute")
                time.sleep(0.01)
            return time.perf_counter() - begun


def _story(folder: Path) -> bool:
    try:
        url = json.loads((folder / "client.json").read_text())["url"]
        request = urllib.request.Request(
            f"{url}/flan",
            json.dumps(PROMPT).encode(),
            {
                "Authorization": TOKEN,
                "Content-Type": "application/json",
                "Prefer": "wait=30",
            },
        )
        with urllib.request.urlopen(request) as answer:
            return bool(json.load(answer)["generated_texts"])
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main(__doc__, measure, full=Effort(rounds=5), smoke=Effort(rounds=1))
