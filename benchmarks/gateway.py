"""A whole gateway, as `parkmeter up` runs it, in a state folder of its own."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients import ask, request
from benchmarks.machine import ROOT
from benchmarks.processes import (
    GATEWAY_CORE,
    LOAD_CORE,
    Cpu,
    Process,
    listens,
    python,
    running,
    wait_until,
)
from benchmarks.requests import TOKEN

UP = ("-m", "parkmeter", "up")
WITHOUT_MEMO = ("-m", "benchmarks.without_memo", "up")
"""The same gateway, whose data plane parses each head."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that answers on `port`."""

    process: Process
    port: int
    state: Path
    token: str = TOKEN

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def cpu(self) -> Cpu:
        """Return the processor time of its process; leashes and model servers are others."""
        return self.process.cpu()

    def memory(self) -> int:
        """Return its resident bytes."""
        return self.process.memory()

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """Ask the control plane once, on a connection of its own; return the JSON.

        Raises:
            RefusedError: When the answer is no success.
        """
        return json.loads(ask(self.port, request(method, path, document, token=self.token)).body)

    def serve(self, name: str, minutes: float = 30) -> None:
        """Put time on an endpoint and wait until it is running."""
        self.ask("POST", f"/endpoints/{name}/top-ups", {"minutes": minutes})
        wait_until(lambda: self.status(name) == "running", self.process)

    def status(self, name: str) -> str:
        """Return the status of an endpoint."""
        return str(self.ask("GET", f"/endpoints/{name}")["status"])


@contextmanager
def gateway(
    config: str | None,
    core: int | None = GATEWAY_CORE,
    program: tuple[str, ...] = UP,
    source: Path | None = None,
) -> Iterator[Gateway]:
    """Run a gateway with this configuration while entered; `source`: another tree's `src`.

    Without a configuration it serves the embedded model.

    Raises:
        NotStartedError: When it does not answer.
    """
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        file, state = Path(folder) / "parkmeter.toml", Path(folder) / "state"
        command = python(*program, "--port", 0, "--state", state)
        if config is not None:
            file.write_text(config, encoding="utf-8")
            command += ["--config", str(file)]
        environment = {"PARKMETER_BOOTSTRAP_TOKEN": TOKEN}
        if source is not None:
            environment["PYTHONPATH"] = os.pathsep.join((str(source), str(ROOT)))
        with running(command, core, environment, patience=30) as process:
            client = state / "client.json"
            wait_until(client.exists, process)
            port = urlsplit(json.loads(client.read_text(encoding="utf-8"))["url"]).port
            assert port is not None
            wait_until(lambda: listens(port), process)
            yield Gateway(process, port, state)


def endpoint(name: str, command: Sequence[str] = (), **settings: object) -> str:
    """Return the table of an endpoint; its command is the stub on the load's core by default."""
    lines = {
        "command": list(command) or stub_command(),
        "initial_provision_time_minutes": 0,
        "startup_credit_minutes": 0,
        "drain_seconds": 0,
        **settings,
    }
    table = [f"{key} = {json.dumps(value)}" for key, value in lines.items()]
    return "\n".join([f"[endpoints.{name}]", *table, ""])


def stub_command() -> list[str]:
    """Return the command of the stub as an endpoint's, which has the port filled in."""
    core = [] if LOAD_CORE is None else ["--core", LOAD_CORE]
    return python("-m", "benchmarks.stub", "{port}", *core)
