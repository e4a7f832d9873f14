"""Endpoints that are local processes, each under a leash of its own.

The driver only reads and writes the files of an endpoint and starts leashes; it never waits for a
server and is never its parent. All state is in the files, so any driver on the same folder can
continue where another one ended. It knows nothing of meters.
"""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never

from parkmeter.core.decision import Observed
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.process_health import PATIENCE, HealthCheck
from parkmeter.drivers.process_leash_client import start_leash
from parkmeter.drivers.process_logs import last_lines
from parkmeter.drivers.process_state import Snapshot, State, read_if_of_run, take_snapshot
from parkmeter.errors import DriverError
from parkmeter.leash.files import (
    FAILED,
    REFUSED,
    STUCK,
    Content,
    Files,
    boot_id,
    read_json,
    remove,
    ring,
    take_lock,
    write_json,
)


@dataclass(frozen=True, slots=True)
class Launch:
    """Commands and limits to start and stop one endpoint.

    `{port}` in any argument of the commands becomes the port to listen on (127.0.0.1). Ready when
    `GET health` answers 200 within `health_timeout`; failed if it does not within `start_timeout`.
    To stop it, `stop_command` is run, or SIGTERM sent to its process group; after `stop_grace`,
    SIGKILL. `environment` is added to the gateway's own.
    """

    command: tuple[str, ...]
    stop_command: tuple[str, ...] | None = None
    health: str = "/ping"
    health_timeout: timedelta = timedelta(seconds=5)
    start_timeout: timedelta = timedelta(minutes=10)
    stop_grace: timedelta = timedelta(seconds=10)
    environment: Mapping[str, str] = field(default_factory=dict)
    working_folder: Path | None = None


class ProcessDriver:
    """`ports.Driver` for local processes; may be used from any thread.

    Keeps its files below `folder`: `run/` and `logs/`. `launches` may be replaced at any time; an
    endpoint that is no longer in it can still be seen, kept and stopped.
    """

    def __init__(self, folder: Path, launches: Mapping[str, Launch]) -> None:
        self.launches = launches
        self._folder = folder.absolute()
        self._health = HealthCheck()
        self._deadline_lock = threading.Lock()

    # ── Observing ────────────────────────────────────────────────────────────────────────────────

    def observe(self, spec: Spec) -> Observed:
        """Return the present state; query the server only until its first answer in this run.

        Raises:
            DriverError: its files cannot be read.

        """
        files = self._files(spec.name)
        with _as_driver_error("Its state cannot be read"):
            seen = take_snapshot(files)
            match seen.state:
                case State.NOTHING:
                    reason = seen.record.get("why", "")
                    return Observed(Phase.ABSENT, reason, seen.time("ended_at"))
                case State.STARTING:
                    return Observed(Phase.STARTING, "starting")
                case State.RUNNING:
                    return self._observe_running(files, seen)
                case State.STOPPING:
                    return Observed(Phase.STOPPING, "stopping")
                case State.FAILED:
                    reason = _with_log(seen.record["why"], files)
                    return Observed(Phase.FAILED, reason, seen.time("ended_at"))
                case State.ORPHANED:
                    return Observed(Phase.FAILED, _orphan_reason(seen.record))
                case _:
                    assert_never(seen.state)

    def _observe_running(self, files: Files, seen: Snapshot) -> Observed:
        record = seen.record
        address = f"http://127.0.0.1:{record['port']}"
        ready = read_if_of_run(files.ready, seen)
        if ready is None and self._passes(record):
            # Kept in a file: a model too busy to answer a restarted gateway must not be taken for
            # one that never became ready.
            ready = {"run": record["run"], "at": time.time()}
            with contextlib.suppress(OSError):  # a full disk must not stop the service
                write_json(files.ready, ready)
        if ready is not None:
            since = datetime.fromtimestamp(ready["at"], UTC)
            return Observed(Phase.READY, "", since, address)
        began, limit = seen.time("started_at"), float(record["start_timeout"])
        waited = time.time() - record["started_at"]
        if waited > limit:
            return Observed(Phase.FAILED, _with_log(f"not ready after {limit:g} s", files))
        # Without the time waited: a reason that changes every second is committed every second.
        reason = _with_log("loading", files, lines=1, length=120)
        return Observed(Phase.STARTING, reason, began)

    def _passes(self, record: Content) -> bool:
        # The record of a run started by an older parkmeter has no timeout.
        timeout = float(record.get("health_timeout", PATIENCE))
        return self._health.passes(record["run"], record["port"], record["health"], timeout)

    def owned(self) -> list[str]:
        """Return the names of all endpoints with files in this folder that are not absent."""
        with _as_driver_error("The endpoints cannot be listed"):
            names = sorted(path.stem for path in (self._folder / "run").glob("*.lock"))
            return [
                name
                for name in names
                if take_snapshot(self._files(name)).state is not State.NOTHING
            ]

    def log_file(self, name: str) -> Path:
        """Return the path of the endpoint's log, which may not exist."""
        return Path(self._files(name).log)

    # ── Acting ───────────────────────────────────────────────────────────────────────────────────

    def start(
        self,
        spec: Spec,
        variant: str,  # noqa: ARG002 (a local process has no variants)
        until: datetime,
        version: int,
    ) -> None:
        """Start the endpoint under a new leash with the deadline `until`; return once both exist.

        Raises:
            DriverError: it is not configured or cannot be started; no process is left.

        """
        files = self._files(spec.name)
        with _as_driver_error("It could not be started"):
            if take_snapshot(files).state is not State.NOTHING:
                self.keep(spec, until, version)
                return
            launch = self.launches.get(spec.name)
            if launch is None:
                raise DriverError("It has no command in the configuration.")
            files.make_folders()
            with self._deadline_lock:
                # Not compared with the version in the file, which belongs to an earlier run.
                write_json(files.deadline, {"version": version, "until": until.timestamp()})
            answer, why = start_leash(
                spec.name,
                {
                    "do": "start",
                    "folder": str(self._folder),
                    "run": uuid.uuid4().hex,
                    "command": launch.command,
                    "stop_command": launch.stop_command,
                    "stop_grace": launch.stop_grace.total_seconds(),
                    "start_timeout": launch.start_timeout.total_seconds(),
                    "health": launch.health,
                    "health_timeout": launch.health_timeout.total_seconds(),
                    "until": until.timestamp(),
                    "version": version,
                    **_child_settings(launch),
                },
            )
        if answer == REFUSED:
            raise DriverError(f"It could not be started: {why}.")

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Move the leash's deadline, unless `version` is lower than that of the present one.

        Raises:
            DriverError: the deadline cannot be written; the previous one stays in force.

        """
        files = self._files(spec.name)
        deadline = {"version": version, "until": until.timestamp()}
        with _as_driver_error("Its deadline could not be moved"), self._deadline_lock:
            if take_snapshot(files).state in (State.NOTHING, State.FAILED):
                return
            known = read_json(files.deadline)
            # The clock calls this every second; an unchanged deadline is not written.
            if known is None or (known["version"] <= version and known != deadline):
                write_json(files.deadline, deadline)
                ring(files.bell, b"deadline\n")

    def stop(self, spec: Spec) -> None:
        """Request the stop from the leash, or clear what a failed run left.

        Raises:
            DriverError: the leftovers of a killed leash cannot be cleared now.

        """
        files = self._files(spec.name)
        with _as_driver_error("It could not be stopped"):
            seen = take_snapshot(files)
            match seen.state:
                case State.NOTHING | State.STARTING:
                    return
                case State.RUNNING | State.STOPPING:
                    run = seen.record["run"]
                    # On a full disk the request cannot be written, but the bell still works.
                    with contextlib.suppress(OSError):
                        write_json(files.stop, {"run": run, "at": time.time()})
                    ring(files.bell, run.encode())
                case State.FAILED:
                    _remove_failed(files)
                case State.ORPHANED:
                    settings = _child_settings(self.launches.get(spec.name))
                    orders = {"do": "clear", "folder": str(self._folder), **settings}
                    start_leash(spec.name, orders)
                case _:
                    assert_never(seen.state)

    def _files(self, name: str) -> Files:
        return Files(str(self._folder), name)


def _remove_failed(files: Files) -> None:
    """Remove the record of a failed run, unless a new leash has just replaced it."""
    lock = take_lock(files.lock)
    if lock is None:
        return
    record = read_json(files.record)
    if record is not None and record["state"] == FAILED:
        remove(files.record)
    os.close(lock)


def _child_settings(launch: Launch | None) -> dict[str, Any]:
    return {
        "environment": dict(launch.environment) if launch else {},
        "working_folder": str(launch.working_folder) if launch and launch.working_folder else None,
    }


def _orphan_reason(record: Content) -> str:
    if record["boot"] != boot_id():
        return "the machine was restarted"
    if record["state"] == STUCK:
        return str(record["why"])
    return "its supervisor was killed"


def _with_log(reason: str, files: Files, **bounds: int) -> str:
    lines = last_lines(files.log, **bounds)
    return f"{reason}: {lines}" if lines else reason


@contextlib.contextmanager
def _as_driver_error(failure: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DriverError(f"{failure}: {error.strerror or error}.") from error
