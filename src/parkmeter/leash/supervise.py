"""One leash at work: spawn the server, wait for a reason to end it, end all of it, say so.

Three states in one record: running, stopping, and a final one, written when nothing is left. The
only waiting place is `_wait`, so that every state hears signals, the bell and the server's output.
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
from parkmeter.leash.files import (
    FAILED,
    LOG_MARK,
    RUNNING,
    STOPPED,
    STOPPING,
    STUCK,
    Content,
    Files,
    boot_id,
    is_in_place,
    open_bell,
    read_json,
    remove,
    write_json,
)
from parkmeter.leash.log import Log
from parkmeter.leash.messages import describe, utc, why_not

HEAD_START = 0.5
"""Seconds let pass after the deadline. At the close of the meter the gateway moves the deadline on
for requests in flight; without this the leash would cut them off before it could."""

LONGEST_NAP = 1.0
"""Seconds after which wall time and files are compared again, come what may: no timer survives a
machine that slept or a clock that was set."""

SHORT_NAP = 0.02
"""Seconds between looks for an end that nothing announces: grandchildren, ports."""

PORT_CLOSES_WITHIN = 1.0
"""Seconds a port may stay open after the last process: a container's proxy goes late."""


ASKED = "stopped"
"""Why a run ended that somebody wanted to end."""


class Leash:
    """Holds one run from spawn to end; `lock` is the open lock file, held already."""

    def __init__(self, orders: Content, files: Files, record: Content, lock: int) -> None:
        self._orders = orders
        self._lock = lock
        self._files = files
        self._record = record
        self._log = Log(files.log, files.old_log)
        self._bell = open_bell(files.bell)
        # Both ends stay open here, so that the server's end of output is no event to care for.
        self._output, self._output_end = os.pipe()
        self._wake, self._wake_end = os.pipe()
        for end in (self._output, self._wake, self._wake_end):
            os.set_blocking(end, False)
        self._group: int | None = None  # process group of the server, until it is empty
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._told_to_stop = ""
        self._deadline = float(orders.get("until", 0))
        self._version = int(orders.get("version", 0))
        self._next_look = 0.0
        # Handlers, not SIG_IGN: what is ignored here would be ignored in the server too.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._wake_end, warn_on_full_buffer=False)
        processes.adopt_orphans()

    # ── The life of a server ─────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Spawn the server, which inherits the lock.

        Raises:
            OSError: it could not be spawned; nothing is there.

        """
        orders = self._orders
        port = _free_port()
        self._record = {
            "run": orders["run"],
            "state": RUNNING,
            "leash": os.getpid(),
            "port": port,
            "started_at": time.time(),
            "boot": boot_id(),
            "health": orders["health"],
            "health_timeout": orders["health_timeout"],
            "start_timeout": orders["start_timeout"],
            "stop_command": _with_port(orders["stop_command"], port),
            "stop_grace": orders["stop_grace"],
        }
        write_json(self._files.record, self._record)
        self._log.write(f"{LOG_MARK}{orders['run']}, {utc()} UTC, port {port} ---\n".encode())
        try:
            server = self._spawn(_with_port(orders["command"], port), self._lock)
        except OSError as error:
            self._finish(STOPPED, why_not(error))
            raise
        self._group = server
        born = processes.process_of(server)
        self._write(server=server, server_start=born.start if born else None)

    def guard(self) -> None:
        """Return when the server has ended, by itself or on purpose, and nothing of it is left."""
        while (code := self._exit_code(self._record["server"])) is None:
            if why := self._reason_to_stop():
                self._end_gently(why)
                self._finish(STOPPED, why)
                return
            nap = self._deadline + HEAD_START - time.time()
            self._wait(max(0.0, min(nap, LONGEST_NAP)))
        self._kill_the_rest()
        if self._record["stop_command"]:
            # The client of a container may be gone and the container not.
            self._write(state=STOPPING, why=describe(code))
            self._run_stop_command()
        self._finish(FAILED, describe(code))

    def begin_to_clear(self) -> None:
        """From now on the record says what is being done."""
        self._write(state=STOPPING, leash=os.getpid())

    def clear(self) -> None:
        """End what is left of a run that has no leash any more; the record is that run's."""
        if self._record["boot"] != boot_id():
            self._record["port"] = None  # by now it may be anybody's
            self._finish(STOPPED, "the machine was restarted")
            return
        self._run_stop_command()
        nap = SHORT_NAP
        while processes.kill_left_of(self._record):
            self._wait(nap)
            nap = min(nap * 2, LONGEST_NAP)
        self._finish(STOPPED, "what was left of it has been cleared")

    def abandon(self) -> None:
        """After an error in the leash itself: better no server than one without a leash."""
        self._log.write(traceback.format_exc().encode())
        self._finish(FAILED, "its supervisor failed")

    # ── Reasons to end ───────────────────────────────────────────────────────────────────────────

    def _reason_to_stop(self) -> str:
        if self._told_to_stop:
            return self._told_to_stop
        if self._is_time_used_up():
            return "time used up; its leash ended it"
        return ""

    def _is_time_used_up(self) -> bool:
        due = time.time() >= self._deadline + HEAD_START
        if due or time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LONGEST_NAP
            self._look_at_files()
        return time.time() >= self._deadline + HEAD_START

    def _look_at_files(self) -> None:
        if not is_in_place(self._files.lock, self._lock):
            # Nobody could see or stop it any more, and a second one would start beside it.
            self._told_to_stop = "its state folder was removed"
        stop = read_json(self._files.stop)
        if stop is not None and stop.get("run") == self._record["run"]:
            self._told_to_stop = ASKED
        kept = read_json(self._files.deadline)
        # The same version may carry another deadline: a drain moves it without a new meter.
        if kept is not None and kept["version"] >= self._version:
            self._version, self._deadline = kept["version"], kept["until"]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._told_to_stop = "its supervisor was told to end it (SIGTERM)"

    # ── Ending ───────────────────────────────────────────────────────────────────────────────────

    def _end_gently(self, why: str) -> None:
        """Ask, and give the server's process group its grace. Who is left then is killed."""
        give_up = time.monotonic() + self._record["stop_grace"]
        # A signal goes before the record: a disk that takes its time must not lengthen a life.
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
        """Whether there is a stop command and it succeeded within the grace."""
        command = self._record.get("stop_command")
        if not command:
            return False
        give_up = time.monotonic() + self._record["stop_grace"]
        try:
            child = self._spawn(command)
        except OSError as error:
            self._log.write(f"stop_command: {why_not(error)}\n".encode())
            return False
        while (code := self._exit_code(child)) is None and time.monotonic() < give_up:
            self._wait(LONGEST_NAP if give_up - time.monotonic() > LONGEST_NAP else SHORT_NAP)
        if code is None:
            processes.signal_group(child, signal.SIGKILL)
        return code == 0

    def _kill_the_rest(self) -> None:
        nap = SHORT_NAP / 4
        # A subreaper without children has no descendants either.
        while self._reap() or self._group is not None:
            self._signal_group(signal.SIGKILL)
            processes.kill(processes.descendants())
            self._wait(nap)
            nap = min(nap * 2, LONGEST_NAP)

    def _signal_group(self, number: int) -> bool:
        """False if nobody is in the server's group."""
        if self._group is not None and not processes.signal_group(self._group, number):
            self._group = None  # from now on the number may be somebody else's
        return self._group is not None

    def _finish(self, state: str, why: str) -> None:
        self._kill_the_rest()
        self._copy_output()
        if not self._is_port_closed():
            state, why = STUCK, f"it was stopped, but its port {self._record['port']} still answers"
        self._write(state=state, why=why, ended_at=time.time())
        remove(self._files.stop, self._files.ready, self._files.deadline)

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
        run = {processes.RUN_VARIABLE: self._record["run"]}
        leash = os.getpid()
        child = subprocess.Popen(  # noqa: S603 (starting the configured command is what this is for)
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._output_end,
            stderr=self._output_end,
            pass_fds=inherited,
            cwd=self._orders["working_folder"],
            env=os.environ | self._orders["environment"] | run,
            start_new_session=True,
            preexec_fn=lambda: processes.die_with(leash),  # noqa: PLW1509 (one thread only)
        )
        self._children[child.pid] = child
        return child.pid

    def _reap(self) -> bool:
        """Collect what has ended, adopted orphans too; False if no child is left."""
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
        """Until something happens, at most so long."""
        ready, _, _ = select.select([self._output, self._bell, self._wake], [], [], seconds)
        if self._output in ready:
            self._log.write(os.read(self._output, 65536))
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._bell in ready:
            self._next_look = 0.0
            if self._record["run"].encode() in os.read(self._bell, 4096):
                self._told_to_stop = ASKED

    def _copy_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while text := os.read(self._output, 65536):
                self._log.write(text)

    def _write(self, **news: object) -> None:
        self._record |= news
        # A full disk must not keep the leash from its work.
        with contextlib.suppress(OSError):
            write_json(self._files.record, self._record)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _with_port(command: list[str] | None, port: int) -> list[str]:
    return [argument.replace("{port}", str(port)) for argument in command or ()]
