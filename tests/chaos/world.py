"""The gateway under attack: its folder, its process, its clock, and what can be seen of it."""

import contextlib
import json
import os
import random
import resource
import secrets
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter
from parkmeter.leash.files import read_json
from parkmeter.stores.records import read
from tests.chaos.ledger import DIED, Ledger

TOKEN = "a-token-for-chaos-1234"
NAMES = ("ant", "bee", "cat")
SERVER = Path(__file__).parents[1] / "support" / "servers" / "moody.py"
CLOCK = Path(__file__).with_name("clock.c")
TMPFS_BYTES = 24 << 20
DRAIN, GRACE, CREDIT = 1.0, 1.0, 6.0
"""Seconds: settings of every endpoint."""

CONFIG = """
[endpoints.{name}]
command = {command}
initial_provision_time_minutes = 0
startup_credit_minutes = 0.1
start_timeout_seconds = 10
stop_grace_seconds = 1
drain_seconds = 1
first_byte_timeout_seconds = {patience}
idle_timeout_seconds = {patience}
"""


def free_port() -> int:
    """Return a free port that stays ours while nothing listens on it: the gateway is restarted.

    It is below the ports that Linux gives to outgoing connections and to programs that ask for any.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port


@dataclass(frozen=True)
class Running:
    """A living process of a server, or of its worker; `state` as `/proc` shows it."""

    pid: int
    parent: int
    endpoint: str
    state: str


@dataclass
class World:
    """One gateway with its servers; as a context manager it leaves nothing behind."""

    folder: Path
    ledger: Ledger
    descriptors: int | None = 512
    """Most descriptors that the gateway may have; None: as many as this process."""
    patience: float = 3
    """Seconds that a server may take to answer."""
    flags: tuple[str, ...] = ()
    """Further flags of the servers."""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    offset: timedelta = field(default=timedelta(0), init=False)
    starts: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.mark = f"chaos-{secrets.token_hex(6)}"
        self.disk = self.folder / "disk"
        self.state = self.disk / "state"
        self.moods = self.folder / "moods"
        self.out = self.folder / "gateway.out"
        self.small_disk = self.can_set_clock = False
        self.paused = threading.Event()
        """Set while the gateway is frozen."""
        self._down_on_purpose = threading.Event()

    def __enter__(self) -> Self:
        for made in (self.disk, self.moods):
            made.mkdir(mode=0o700)
        self.small_disk = _mount(self.disk)
        self.state.mkdir(mode=0o700)
        self._write_config()
        self.set_clock(timedelta(0))
        self.can_set_clock = _compile_clock(self.folder)
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.end()
        finally:
            for one in self.running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            if self.small_disk:
                subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

    def _write_config(self) -> None:
        text = ""
        for name in NAMES:
            command = [sys.executable, "-I", "-S", str(SERVER), "{port}"]
            command += ["--mark", f"{self.mark}/{name}", "--mood-file", str(self.moods / name)]
            command += self.flags
            text += CONFIG.format(name=name, command=json.dumps(command), patience=self.patience)
        (self.folder / "parkmeter.toml").write_text(text)

    # ── The process ──────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the gateway; `healthy` says when it answers."""
        command = [sys.executable, "-m", "parkmeter", "up", "--port", str(self.port)]
        command += ["--state", str(self.state), "--config", str(self.folder / "parkmeter.toml")]
        environment = {**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN}
        if self.can_set_clock:
            environment["LD_PRELOAD"] = str(self.folder / "clock.so")
            environment["CHAOS_CLOCK"] = str(self.folder / "clock")
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )
        if self.descriptors is not None:
            limit = (self.descriptors, self.descriptors)
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, limit)
        self.starts += 1
        self._down_on_purpose.clear()

    def may_end(self) -> None:
        """Expect this start of the gateway to end by itself."""
        self._down_on_purpose.set()

    def kill(self) -> None:
        """Kill -9 the gateway."""
        self._down_on_purpose.set()
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = 60.0) -> None:
        """End the gateway in order."""
        self._down_on_purpose.set()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.ledger.breaks(DIED, f"it did not end within {seconds:g} s of SIGTERM")
                self.kill()

    @property
    def up(self) -> bool:
        """Return True while the gateway's process lives and is not frozen."""
        return self.process.poll() is None and not self.paused.is_set()

    def keep_up(self) -> None:
        """Start the gateway again if it has ended; by itself it never should."""
        if self.process.poll() is not None:
            if not self._down_on_purpose.is_set():
                lines = self.out.read_text(errors="replace").strip().splitlines()
                self.ledger.breaks(DIED, f"exit code {self.process.returncode}: {lines[-1:]}")
            self.start()

    # ── Its clock ────────────────────────────────────────────────────────────────────────────────

    def set_clock(self, offset: timedelta) -> None:
        """Have the gateway, its leashes and their servers see this much more than the real time."""
        # Written in place: it is mapped by all of them.
        with (self.folder / "clock").open("r+b" if self.starts else "wb") as file:
            file.write(struct.pack("q", round(offset.total_seconds())))
        self.offset = offset

    def now(self) -> datetime:
        """Return the time that the gateway sees."""
        return datetime.now(UTC) + self.offset

    # ── What can be seen ─────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def store(self, **options: object) -> Iterator[sqlite3.Connection]:
        path = f"file:{self.state}/parkmeter.sqlite?mode=rw"
        with closing(sqlite3.connect(path, uri=True, isolation_level=None, **options)) as opened:
            yield opened

    def meters(self) -> dict[str, Meter]:
        with self.store() as store:
            rows = store.execute("SELECT name, body, version FROM meters").fetchall()
        return {name: read(Meter, body, version=version) for name, body, version in rows}

    def journal(self, name: str, after: int = 0) -> list[Entry]:
        """Return the entries of an endpoint with a number above `after`, oldest first."""
        query = "SELECT body, number FROM journal WHERE endpoint = ? AND number > ? ORDER BY number"
        with self.store() as store:
            return [
                read(Entry, body, number=number)
                for body, number in store.execute(query, (name, after))
            ]

    def journals(self) -> dict[str, list[Entry]]:
        """Return the journals of all endpoints that have one."""
        found = {name: self.journal(name) for name in NAMES}
        return {name: entries for name, entries in found.items() if entries}

    def run_file(self, name: str, suffix: str) -> dict | None:
        """Return one of the files of an endpoint's run; None if it is missing or unreadable."""
        try:
            return read_json(str(self.state / "endpoints" / "run" / f"{name}.{suffix}"))
        except OSError:
            return None

    def running(self) -> list[Running]:
        """Return all living processes of the servers, found by their command lines."""
        mark, found = self.mark.encode(), []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                stat = (entry / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            mine = next((word for word in words if word.startswith(mark + b"/")), None)
            if mine is not None and stat[0] not in "ZX":
                name = mine.decode().partition("/")[2]
                found.append(Running(int(entry.name), int(stat[1]), name, stat[0]))
        return found

    def leash_of(self, name: str) -> int | None:
        """Return the process id of a living leash."""
        record = self.run_file(name, "json")
        if record is None or record["state"] not in ("running", "stopping"):
            return None
        try:
            command = Path(f"/proc/{record['leash']}/cmdline").read_bytes()
        except OSError:
            return None
        return record["leash"] if b"/leash/" in command else None

    def set_mood(self, name: str, mood: str) -> None:
        (self.moods / name).write_text(mood)


def _mount(folder: Path) -> bool:
    """Put a small disk at this folder; only root may."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    size = f"size={TMPFS_BYTES},mode=0700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False, capture_output=True
    )
    return done.returncode == 0


def _compile_clock(folder: Path) -> bool:
    """Build the clock that jumps; False where there is no compiler."""
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / "clock.so"), str(CLOCK)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def wait_for(holds, seconds: float, every: float = 0.05) -> bool:
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= give_up:
            return False
        time.sleep(every)
    return True
