"""From the command to the first generated text, on an installed tree: target 3 s, no network.

Each round uses a fresh state folder: first provisioning, the embedded model, one prompt.

    python -m benchmarks.start [--rounds 5]
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TOKEN = "a-token-for-benchmarks"
PROMPT = {"text_inputs": "write a story about beautiful weather on a topical island."}


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="Measure the start.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken = sorted(_first_text() for _ in range(rounds))
    print("parkmeter up to the first generated text, seconds")
    print(f"{'min':>8} {'median':>8} {'max':>8} {'target':>8}")
    print(f"{taken[0]:8.2f} {statistics.median(taken):8.2f} {taken[-1]:8.2f} {3.0:8.2f}")


def _first_text() -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        gateway = subprocess.Popen(
            [sys.executable, "-m", "parkmeter", "up", "--port", "0", "--state", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN},
        )
        try:
            while not _story(Path(folder)):
                if time.perf_counter() - begun > 60:
                    raise SystemExit("no text within a minute")
                time.sleep(0.01)
            return time.perf_counter() - begun
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)


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
    main()
