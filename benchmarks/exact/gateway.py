"""A whole gateway as people run it, whose driver records the times of start and stop calls.

    python -m benchmarks.exact.gateway fake|process NOTES STUB_PORT CONFIG STATE

`process` has real servers. `fake` has endpoints that exist in memory only, all of them at the
stub's address, so that fifty may start and end at once on a machine with two cores.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.exact.notes import Notes
from parkmeter.config.load import load_settings
from parkmeter.core.meter import Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.gateway import wiring
from parkmeter.gateway.server import Gateway

ZERO = timedelta(0)


class NotedProcesses(ProcessDriver):
    """The process driver, taking notes."""

    notes: Notes

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """See `ProcessDriver`."""
        self.notes.take("start", spec.name)
        super().start(spec, variant, until, version)

    def stop(self, spec: Spec) -> None:
        """See `ProcessDriver`."""
        self.notes.take("stop", spec.name)
        super().stop(spec)


class NotedFakes(FakeDriver):
    """Endpoints that start and stop at once and have no leash, taking notes."""

    notes: Notes
    stub: str

    def __init__(self, folder: Path, launches: Mapping[str, Launch], *local: object) -> None:
        del folder, local
        super().__init__(lambda: datetime.now(UTC), ZERO, ZERO, leash=False)
        self.launches = launches

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """See `FakeDriver`."""
        self.notes.take("start", spec.name)
        self.addresses = {**self.addresses, spec.name: self.stub}
        super().start(spec, variant, until, version)

    def stop(self, spec: Spec) -> None:
        """See `FakeDriver`."""
        self.notes.take("stop", spec.name)
        super().stop(spec)


def main() -> None:
    """Run it until SIGTERM."""
    kind, notes, stub_port, config, state = sys.argv[1:]
    NotedProcesses.notes = NotedFakes.notes = Notes(Path(notes))
    NotedFakes.stub = f"http://127.0.0.1:{stub_port}"
    driver = {"fake": NotedFakes, "process": NotedProcesses}[kind]
    vars(wiring)["ProcessDriver"] = driver  # the one thing that differs
    settings = load_settings(config=Path(config), state=Path(state), host="127.0.0.1", port=0)
    Gateway(settings).run(lambda _started: None)


if __name__ == "__main__":
    main()
