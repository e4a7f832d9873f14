"""The command line, with a driver that writes down the time of each start and stop call.

    python -m benchmarks.noted fake|process NOTES STUB_PORT up …

`process` has real servers. `fake` has endpoints that exist in memory only, all of them at the
stub's address, so that many may start and end at once on a machine with two cores.
"""

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from parkmeter.cli import main
from parkmeter.core.meter import Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.gateway import wiring

_notes = Path()


def _noted(driver: type, method: str) -> None:
    """Have that method write down when it is called, and for which endpoint."""
    call = getattr(driver, method)

    def noted(self: object, spec: Spec, *arguments: object) -> None:
        line = f"{method} {spec.name} {time.time():.6f}\n"
        handle = os.open(_notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(handle, line.encode())
        os.close(handle)
        call(self, spec, *arguments)

    setattr(driver, method, noted)


class _Fakes(FakeDriver):
    """Endpoints that start and stop at once and have no leash."""

    stub = ""

    def __init__(self, folder: Path, launches: Mapping[str, Launch], *local: object) -> None:
        del folder, local
        super().__init__(lambda: datetime.now(UTC), timedelta(0), timedelta(0), leash=False)
        self.launches = launches

    def start(self, spec: Spec, *arguments: Any) -> None:
        """See `FakeDriver`."""
        self.addresses = {**self.addresses, spec.name: self.stub}
        super().start(spec, *arguments)

    def stop(self, spec: Spec) -> None:
        """See `FakeDriver`."""
        super().stop(spec)


if __name__ == "__main__":
    kind, notes, stub_port = sys.argv[1:4]
    _notes = Path(notes)
    _Fakes.stub = f"http://127.0.0.1:{stub_port}"
    drivers: dict[str, type] = {"fake": _Fakes, "process": ProcessDriver}
    for method in ("start", "stop"):
        _noted(drivers[kind], method)
    vars(wiring)["ProcessDriver"] = drivers[kind]
    sys.argv[1:4] = []
    main()
