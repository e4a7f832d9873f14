"""A whole gateway as people run it, with endpoints in memory or real ones.

    python -m benchmarks.control._served fake|process CONFIG STATE NOTES

Start and stop calls are written to the file NOTES, one a line: what, whose, when.
"""

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parkmeter.config.load import load_settings
from parkmeter.core.meter import Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.gateway import wiring
from parkmeter.gateway.server import Gateway

_ZERO = timedelta(0)
_notes = -1


def _note(what: str, name: str) -> None:
    os.write(_notes, f"{what} {name} {time.time():.6f}\n".encode())


class _NotedProcesses(ProcessDriver):
    """The process driver, taking notes."""

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """See `ProcessDriver`."""
        _note("start", spec.name)
        super().start(spec, variant, until, version)

    def stop(self, spec: Spec) -> None:
        """See `ProcessDriver`."""
        _note("stop", spec.name)
        super().stop(spec)


class _NotedFakes(FakeDriver):
    """Endpoints that start and stop at once and have no leash, taking notes."""

    stub = ""

    def __init__(self, folder: Path, launches: Mapping[str, Launch], *local: object) -> None:
        del folder, local
        super().__init__(lambda: datetime.now(UTC), _ZERO, _ZERO, leash=False)
        self.launches = launches

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """See `FakeDriver`."""
        _note("start", spec.name)
        self.addresses = {**self.addresses, spec.name: self.stub}
        super().start(spec, variant, until, version)

    def stop(self, spec: Spec) -> None:
        """See `FakeDriver`."""
        _note("stop", spec.name)
        super().stop(spec)


def main() -> None:
    """Run it until SIGTERM."""
    global _notes  # noqa: PLW0603 (one gateway in this process)
    kind, config, state, notes = sys.argv[1:]
    _notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    _NotedFakes.stub = os.environ.get("PARKMETER_BENCHMARK_STUB", "http://127.0.0.1:9")
    vars(wiring)["ProcessDriver"] = {"fake": _NotedFakes, "process": _NotedProcesses}[kind]
    settings = load_settings(config=Path(config), state=Path(state), host="127.0.0.1", port=0)
    Gateway(settings).run(lambda _started: None)


if __name__ == "__main__":
    main()
