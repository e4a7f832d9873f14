"""Hugging Face's transformers on torch as a peer: an environment of its own and a process in it.

Knows nothing of the server it is compared with. The environment is made once, under the cache
folder, and takes 1.3 GB.
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TORCH = "torch==2.13.0"
TRANSFORMERS = "transformers==5.23.0"
SCRIPT = Path(__file__).with_name("generating.py")
INSTALL_SECONDS = 1200


class NotHadError(Exception):
    """Raised when the peer cannot be made or does not run here; says why."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The number of texts and the time they took; both times in seconds."""

    answers: int
    seconds: float
    cpu_seconds: float


class HuggingFace:
    """A running peer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        versions = self._answer()
        self.torch = str(versions["torch"])
        self.transformers = str(versions["transformers"])

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def texts(self, prompts: list[str]) -> list[str]:
        """Return its answer to each prompt, greedy, one at a time."""
        return list(self._ask(texts=prompts)["texts"])

    def speed(self, prompt: str, batch: int, seconds: float) -> Speed:
        """Measure its speed with `batch` equal prompts at a time."""
        return Speed(**self._ask(prompt=prompt, batch=batch, seconds=seconds))

    def _ask(self, **question: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotHadError("its process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def running(weights: Path) -> Iterator[HuggingFace]:
    """Run the peer over a folder in its own layout.

    Raises:
        NotHadError: torch or transformers cannot be installed here, or do not run.
    """
    python = _environment()
    # Without the script's folder among those it imports from.
    command = [str(python), "-P", str(SCRIPT), str(weights)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_without_our_paths(),
    )
    try:
        yield HuggingFace(process)
    finally:
        process.terminate()
        process.wait()


def _environment() -> Path:
    """Return the Python of the peer's environment, created at the first call."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = home / "parkmeter" / "benchmarks" / "hugging-face"
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = f"{TORCH} {TRANSFORMERS}"
    made = place / "made-of"
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {wanted}, once", file=sys.stderr)
    try:
        venv.create(place, clear=True, with_pip=True)
        for package in (TORCH, TRANSFORMERS):
            pip = [str(python), "-m", "pip", "install", "--quiet", package]
            subprocess.run(pip, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as failed:
        reason = (failed.stderr or "no reason given").strip().splitlines()[-1]
        raise NotHadError(f"it cannot be installed: {reason}") from failed
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise NotHadError(f"it cannot be installed: {failed}") from failed
    made.write_text(wanted, encoding="utf-8")
    return python


def _without_our_paths() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
