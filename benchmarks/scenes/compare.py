"""This tree and another revision.

Prompts through the gateway of this tree and through that of the revision named by `--against`. Each
round starts both again, since a process keeps the layout of memory it happened to be given.
"""

import io
import subprocess
import tarfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Effort, Figure, Measured, ratios
from benchmarks.machine import ROOT
from benchmarks.requests import Prompt
from benchmarks.sides import in_turn, ours

WAYS = {
    "16 clients": (16, Prompt("/flan")),
    "64 clients": (64, Prompt("/flan")),
    "16 clients, heads differ": (16, Prompt("/flan", differing=True)),
}


def measure(effort: Effort) -> Measured:
    """Compare the processor time of a prompt."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with TemporaryDirectory(prefix="bench-revision-") as folder:
        before = _source_of(effort.against or "HEAD", Path(folder))
        for number in range(effort.rounds(7)):
            with ExitStack() as stack:
                starts = [("before", before), ("now", ROOT / "src")]
                sides = [
                    stack.enter_context(ours(name, source=source))
                    for name, source in starts[:: -1 if number % 2 else 1]
                ]
                for label, (clients, prompt) in WAYS.items():
                    ways = {side.name: (side, prompt) for side in sides}
                    for name, cpu in in_turn(ways, clients, effort).items():
                        found[name, label].append(cpu)
    figures = []
    for label in WAYS:
        then, now = found["before", label], found["now", label]
        figures.append(Figure(label, f"CPU at {effort.against or 'HEAD'}", tuple(then), "µs"))
        figures.append(Figure(label, "CPU now", tuple(now), "µs"))
        figures.append(Figure(label, "ratio", ratios(now, then)))
    return Measured(tuple(figures))


def _source_of(revision: str, folder: Path) -> Path:
    """Write the package of a revision into a folder; return what to import it from."""
    archive = subprocess.run(
        ["git", "archive", revision, "src"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "src"
