"""Supervision of one run: spawn the server, wait for a reason to stop it, stop it, record that.

Three states in one record: running, stopping, and a final one, written when no process is left.
`_wait` is the only place that blocks, so signals, the bell and output are handled in every state.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
import traceback
from types import FrameType

from parkmeter.leash import processes
from parkmeter.leash.control_group import kill_group, make_group, remove_group
from parkmeter.leash.deadline import Deadline
from parkmeter.leash.elapsed import boot_id
from parkmeter.leash.files import (
    FAILED,
    LOG_MARK,
    RUNNING,
    STOPPED,
    STOPPING,
    STUCK,
    Content,
    Files,
    is_in_place,
    open_bell,
    read_json,
    remove,
    write_json,
)
from parkmeter.leash.log import Log
from parkmeter.leash.spawn import Surroundings, spawn

HEAD_START = 0.5
"""Seconds to wait after the deadline. At the close of the meter the gateway extends the deadline
for requests in flight; without this delay the leash would cut them off first."""

LONGEST_NAP = 1.0
"""Seconds after which wall time and files are checked in any case: no timer survives a suspend of
the machine or a change of its clock."""

BEAT = 5.0
"""Seconds between two touches of the record: a leash that hangs stops touching it."""

SHORT_NAP = 0.02
"""Seconds between checks for events without a signal: exits of grandchildren, closed ports."""

PORT_CLOSES_WITHIN = 1.0
"""Seconds a port may stay open after the last process: a container's proxy exits late."""

REQUESTED = "stopped"
"""Reason recorded for a run that the driver stopped."""


class Leash:
    """Supervisor of one run, from spawn to end; `lock` is the open lock file, already held."""

    def __init__(self, orders: Content, files: Files, record: Content, lock: int) -> None:
        self._orders = orders
        self._lock = lock
        self._files = files
        self._record = record
        self._log = Log(files.log, files.old_log)
        self._bell = open_bell(files.bell)
        # Both ends stay open here, so the end of the server's output is no event to handle.
        self._output, self._output_end = os.pipe()
        self._wake, self._wake_end = os.pipe()
        for end in (self._output, self._wake, self._wake_end):
            os.set_blocking(end, False)
        self._group: int | None = None  # process group of the server, until it is empty
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._stop_request = ""
        self._deadline = Deadline(orders)
        self._next_check = self._next_beat = 0.0
        # Handlers, not SIG_IGN: the server would inherit ignored signals.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        processes.adopt_orphans()

    # ── Runs ─────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Spawn the server, which inherits the lock.

        Raises:
            OSError: it could not be spawned; no process is left.

        """
        orders = self._orders
        port = _free_port()
        leash = processes.process_of(os.getpid())
        self._record = {
            "run": orders["run"],
            "state": RUNNING,
            "leash": os.getpid(),
            "leash_start": leash.start if leash else None,
            "beats": True,
            "cgroup": make_group(f"parkmeter-{orders['name']}-{orders['run'][:8]}"),
            "port": port,
            "started_at": time.time(),
            "boot": boot_id(),
            "health": orders["health"],
            "health_timeout": orders["health_timeout"],
            "start_timeout": orders["start_timeout"],
            "liveness": orders.get("liveness"),
            "stop_command": _with_port(orders["stop_command"], port),
            "stop_grace": orders["stop_grace"],
        }
        write_json(self._files.record, self._record)
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        self._log.write(f"{LOG_MARK}{orders['run']}, {began} UTC, port {port} ---\n".encode())
        try:
            server = self._spawn(_with_port(orders["command"], port), self._lock)
        except OSError as error:
            self._finish(STOPPED, processes.describe_spawn_error(error))
            raise
        self._group = server
        born = processes.process_of(server)
        self._write(server=server, server_start=born.start if born else None)

    def guard(self) -> None:
        """Return once the server has exited or was stopped, and no process of the run is left."""
        while (code := self._exit_code(self._record["server"])) is None:
            if why := self._reason_to_stop():
                self._stop_gently(why)
                self._finish(STOPPED, why)
                return
            self._wait(max(0.0, min(self._deadline.left() + HEAD_START, LONGEST_NAP)))
        self._kill_all()
        if self._record["stop_command"]:
            # The client of a container may be gone while the container runs.
            self._write(state=STOPPING, why=processes.describe_exit(code))
            self._run_stop_command()
        self._finish(FAILED, processes.describe_exit(code))

    def mark_clearing(self) -> None:
        """Record that the run is being stopped."""
        self._write(state=STOPPING, leash=os.getpid())

    def clear(self) -> None:
        """Stop the leftovers of the recorded run, whose leash is dead."""
        if self._record["boot"] != boot_id():
            self._record["port"] = None  # another program may have it by now
            self._finish(STOPPED, "the machine was restarted")
            return
        self._run_stop_command()
        nap = SHORT_NAP
        while processes.kill_leftovers(self._record, self._files.lock):
            self._wait(nap)
            nap = min(nap * 2, LONGEST_NAP)
        self._finish(STOPPED, "leftover processes were cleared")

    def abandon(self) -> None:
        """Stop the server after an error in the leash: better none than one without a leash."""
        self._log.write(traceback.format_exc().encode())
        self._finish(FAILED, "its supervisor failed")

    # ── Reasons to stop ──────────────────────────────────────────────────────────────────────────

    def _reason_to_stop(self) -> str:
        if self._stop_request:
            return self._stop_request
        if self._is_time_used_up():
            return "time used up; stopped by its leash"
        return ""

    def _is_time_used_up(self) -> bool:
        if self._is_past_deadline() or time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + LONGEST_NAP
            self._read_files()
        return self._is_past_deadline()

    def _is_past_deadline(self) -> bool:
        return self._deadline.left() + HEAD_START <= 0

    def _read_files(self) -> None:
        if not is_in_place(self._files.lock, self._lock):
            # No driver could see or stop it, and a second one would start beside it.
            self._stop_request = "its state folder was removed"
        stop = read_json(self._files.stop)
        if stop is not None and stop.get("run") == self._record["run"]:
            self._stop_request = REQUESTED
        kept = read_json(self._files.deadline)
        if kept is not None:
            self._deadline.adopt(kept)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._stop_request = "its supervisor received SIGTERM"

    # ── Stopping ─────────────────────────────────────────────────────────────────────────────────

    def _stop_gently(self, why: str) -> None:
        """Ask the server to exit, and wait up to its grace for its process group to be empty."""
        give_up = time.monotonic() + self._record["stop_grace"]
        # The signal before the record: a slow disk must not delay the stop.
        asked = not self._record["stop_command"] and self._signal_group(signal.SIGTERM)
        self._write(state=STOPPING, why=why)
        if not asked and not self._run_stop_command():
            self._signal_group(signal.SIGTERM)
        while time.monotonic() < give_up:
            self._reap()
            if not self._signal_group(0):
                return
            self._wait(SHORT_NAP)

    def _run_stop_command(self) -> bool:
        """Run the stop command; return whether there is one and it succeeded within the grace."""
        command = self._record.get("stop_command")
        if not command:
            return False
        give_up = time.monotonic() + self._record["stop_grace"]
        try:
            child = self._spawn(command)
        except OSError as error:
            self._log.write(f"stop_command: {processes.describe_spawn_error(error)}\n".encode())
            return False
        while (code := self._exit_code(child)) is None and time.monotonic() < give_up:
            self._wait(LONGEST_NAP if give_up - time.monotonic() > LONGEST_NAP else SHORT_NAP)
        if code is None:
            processes.signal_group(child, signal.SIGKILL)
        return code == 0

    def _kill_all(self) -> None:
        nap = SHORT_NAP / 4
        # A subreaper without children has no descendants.
        group = self._record.get("cgroup")
        while self._reap() or self._group is not None or (group and kill_group(group)):
            self._signal_group(signal.SIGKILL)
            processes.kill(processes.descendants())
            self._wait(nap)
            nap = min(nap * 2, LONGEST_NAP)
        if group:
            remove_group(group)

    def _signal_group(self, number: int) -> bool:
        """Send a signal to the server's group; return False if the group is empty."""
        if self._group is not None and not processes.signal_group(self._group, number):
            self._group = None  # from now on the id may be reused
        return self._group is not None

    def _finish(self, state: str, why: str) -> None:
        self._kill_all()
        self._copy_output()
        if not self._is_port_closed():
            state, why = STUCK, f"stopped, but its port {self._record['port']} still answers"
        written = self._write(state=state, why=why, ended_at=time.time())
        remove(self._files.stop, self._files.ready, self._files.deadline)
        if not written:  # on a full disk, that has made room
            self._write()

    def _is_port_closed(self) -> bool:
        port = self._record.get("port")
        give_up = time.monotonic() + PORT_CLOSES_WITHIN
        while port is not None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=SHORT_NAP).close()
            except ConnectionRefusedError:
                return True
            except OSError:
                pass
            if time.monotonic() >= give_up:
                return False
            self._wait(SHORT_NAP)
        return True

    # ── Children, waiting, record ────────────────────────────────────────────────────────────────

    def _spawn(self, command: list[str], *inherited: int) -> int:
        orders, run = self._orders, {processes.RUN_VARIABLE: self._record["run"]}
        around = Surroundings(
            output=self._output_end,
            folder=orders["working_folder"],
            environment=os.environ | orders["environment"] | run,
            user=orders.get("user"),
            group=self._record.get("cgroup"),
            open_files=orders.get("open_files"),
        )
        child = spawn(command, around, inherited)
        self._children[child.pid] = child
        return child.pid

    def _reap(self) -> bool:
        """Reap exited children, adopted orphans included; return False if no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if child := self._children.get(pid):
                child.returncode = os.waitstatus_to_exitcode(status)

    def _exit_code(self, pid: int) -> int | None:
        self._reap()
        return self._children[pid].returncode

    def _wait(self, seconds: float) -> None:
        """Handle the next events; wait for them for at most `seconds`."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT
            with contextlib.suppress(OSError):
                os.utime(self._files.record)
        ready, _, _ = select.select([self._output, self._bell, self._wake], [], [], seconds)
        if self._output in ready:
            self._log.write(os.read(self._output, 65536))
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._bell in ready:
            self._next_check = 0.0
            if self._record["run"].encode() in os.read(self._bell, 4096):
                self._stop_request = REQUESTED

    def _copy_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while text := os.read(self._output, 65536):
                self._log.write(text)

    def _write(self, **changes: object) -> bool:
        """Write the record; return False if it cannot be: a full disk must not stop the leash."""
        self._record |= changes
        try:
            write_json(self._files.record, self._record)
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _with_port(command: list[str] | None, port: int) -> list[str]:
    return [argument.replace("{port}", str(port)) for argument in command or ()]
