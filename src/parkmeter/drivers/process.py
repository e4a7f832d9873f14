"""Endpoints that are local processes, each under a leash of its own.

The driver only reads and writes the files of an endpoint and starts leashes; it never waits for a
server and is never its parent. All state is in the files, so any driver on the same folder can
continue where another one ended. It knows nothing of meters.
"""

import contextlib
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, assert_never

from parkmeter.core.decision import Observed
from parkmeter.core.meter import Phase, Spec
from parkmeter.descriptor_reserve import DescriptorReserve
from parkmeter.drivers.process_health import PATIENCE, HealthCheck
from parkmeter.drivers.process_launch import Launch, child_settings, environment_for
from parkmeter.drivers.process_leash_client import start_leash
from parkmeter.drivers.process_logs import last_lines
from parkmeter.drivers.process_state import Snapshot, State, read_if_of_run, take_snapshot
from parkmeter.drivers.process_stop import end_without_leash, remove_failed, request_stop
from parkmeter.drivers.process_watch import LeashWatch, Watch
from parkmeter.errors import DriverError
from parkmeter.leash.deadline import deadline_of, is_same
from parkmeter.leash.elapsed import boot_id
from parkmeter.leash.files import (
    REFUSED,
    STUCK,
    Content,
    Files,
    read_json,
    ring,
    write_json,
    write_over,
)

_HUNG = "its supervisor does not respond"

_Result = TypeVar("_Result")


class ProcessDriver:
    """`ports.Driver` for local processes; may be used from any thread.

    Keeps its files below `folder`: `run/` and `logs/`. `launches` may be replaced at any time; an
    endpoint that is no longer in it can still be seen, kept and stopped. `reserve`: descriptors for
    the time when the process has none left. `open_files`: the limit (soft) of the servers, which do
    not inherit one that the gateway raised for itself; None: this process's own.
    """

    def __init__(
        self,
        folder: Path,
        launches: Mapping[str, Launch],
        reserve: DescriptorReserve | None = None,
        open_files: int | None = None,
    ) -> None:
        self.launches = launches
        self._folder = folder.absolute()
        self._reserve = reserve or DescriptorReserve()
        self._open_files = open_files
        self._health = HealthCheck(self._reserve)
        self._answers = Watch()
        self._leashes = LeashWatch()
        # One each, or endpoints would queue up for the disk of another one.
        self._deadline_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    # ── Observing ────────────────────────────────────────────────────────────────────────────────

    def observe(self, spec: Spec) -> Observed:
        """Return the present state; query the server only until its first answer in this run.

        Raises:
            DriverError: its files cannot be read.

        """
        files = self._files(spec.name)
        return self._carry_out("Its state cannot be read", lambda: self._observe(files))

    def _observe(self, files: Files) -> Observed:
        seen = take_snapshot(files)
        match seen.state:
            case State.NOTHING:
                return Observed(Phase.ABSENT, seen.record.get("why", ""), seen.time("ended_at"))
            case State.STARTING:
                return Observed(Phase.STARTING, "starting")
            case State.RUNNING if seen.record.get("damaged"):
                return Observed(Phase.FAILED, "the record of its run is damaged")
            case State.RUNNING:
                return self._observe_running(files, seen)
            case State.STOPPING if self._leashes.is_given_up(files, seen):
                return Observed(Phase.FAILED, _HUNG)
            case State.STOPPING:
                return Observed(Phase.STOPPING, "stopping")
            case State.FAILED:
                reason = _with_log(seen.record.get("why", "it failed"), files)
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
            if late := self._liveness_failure(files, record):
                return Observed(Phase.FAILED, _with_log(late, files))
            since = datetime.fromtimestamp(ready["at"], UTC)
            reason = _HUNG if self._leashes.is_hung(files, seen) else ""
            return Observed(Phase.READY, reason, since, address)
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

    def _liveness_failure(self, files: Files, record: Content) -> str:
        """Return the reason why a ready server counts as hung; empty if it does not."""
        limit = record.get("liveness")
        if limit is None:
            return ""
        if self._passes(record):
            self._answers.forget(files.record)
        elif self._answers.silent_for(files.record, record["run"]) >= limit:
            return f"no answer to its health check for {limit:g} s"
        return ""

    def owned(self) -> list[str]:
        """Return the names of all endpoints with files in this folder that are not absent."""
        return self._carry_out("The endpoints cannot be listed", self._owned)

    def _owned(self) -> list[str]:
        names = sorted(path.stem for path in (self._folder / "run").glob("*.lock"))
        return [
            name for name in names if take_snapshot(self._files(name)).state is not State.NOTHING
        ]

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
        answer, why = self._carry_out(
            "It could not be started", lambda: self._start(spec, until, version)
        )
        if answer == REFUSED:
            raise DriverError(f"It could not be started: {why}.")

    def _start(self, spec: Spec, until: datetime, version: int) -> tuple[str, str]:
        files = self._files(spec.name)
        if take_snapshot(files).state is not State.NOTHING:
            self.keep(spec, until, version)
            return "", ""
        launch = self.launches.get(spec.name)
        if launch is None:
            raise DriverError("It has no command in the configuration.")
        settings = child_settings(launch)
        files.make_folders()
        deadline = deadline_of(until.timestamp(), version)
        with self._deadline_locks[spec.name]:
            # Not compared with the version in the file, which belongs to an earlier run.
            write_over(files.deadline, deadline)
        return start_leash(
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
                "liveness": launch.liveness.total_seconds() if launch.liveness else None,
                "open_files": self._open_files,
                **deadline,
                **settings,
            },
            environment_for(launch),
        )

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Move the leash's deadline, unless `version` is lower than that of the present one.

        Raises:
            DriverError: the deadline cannot be written; the previous one stays in force.

        """
        self._carry_out(
            "Its deadline could not be moved", lambda: self._keep(spec.name, until, version)
        )

    def _keep(self, name: str, until: datetime, version: int) -> None:
        files = self._files(name)
        with self._deadline_locks[name]:
            deadline = deadline_of(until.timestamp(), version)
            known = read_json(files.deadline) or {}
            # The clock calls this every second; an unchanged deadline is not written.
            if known.get("version", 0) > version or is_same(known, deadline):
                return
            if take_snapshot(files).state in (State.NOTHING, State.FAILED):
                return
            write_over(files.deadline, deadline)
            ring(files.bell, b"deadline\n")

    def stop(self, spec: Spec) -> None:
        """Request the stop from the leash, or clear what a failed run left.

        Raises:
            DriverError: the leash cannot be reached, or the leftovers of a killed leash cannot be
                cleared now.

        """
        self._carry_out("It could not be stopped", lambda: self._stop(spec.name))

    def _stop(self, name: str) -> None:
        files = self._files(name)
        seen = take_snapshot(files)
        match seen.state:
            case State.NOTHING | State.STARTING:
                return
            case State.RUNNING | State.STOPPING:
                if self._leashes.is_given_up(files, seen):
                    end_without_leash(files, seen.record)
                else:
                    request_stop(files, seen.record)
            case State.FAILED:
                remove_failed(files)
            case State.ORPHANED:
                self._clear(name)
            case _:
                assert_never(seen.state)

    def _clear(self, name: str) -> None:
        launch = self.launches.get(name)
        try:
            settings = child_settings(launch)
        except DriverError:  # its user is gone, which must not keep its processes alive
            settings = child_settings(None)
        folder = str(self._folder)
        orders = {"do": "clear", "folder": folder, "open_files": self._open_files, **settings}
        start_leash(name, orders, environment_for(launch))

    def _carry_out(self, failure: str, call: Callable[[], _Result]) -> _Result:
        """Call it, with descriptors from the reserve if need be.

        Raises:
            DriverError: instead of an OSError.

        """
        with _as_driver_error(failure):
            return self._reserve.run(call)

    def _files(self, name: str) -> Files:
        return Files(str(self._folder), name)


def _orphan_reason(record: Content) -> str:
    if record["boot"] != boot_id():
        return "the machine was restarted"
    if record["state"] == STUCK:
        return str(record.get("why", "stopped, but its port still answers"))
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
