"""Every driver behind one handle, so that one suite can test all of them.

A handle knows how to make endpoints that are good or bad in a certain way, and how to let time
pass: on the fake's wound clock, or in real time for processes, never longer than needed.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from parkmeter.core.decision import Observed
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.fake import FakeDriver
from parkmeter.drivers.process import ProcessDriver
from parkmeter.drivers.process_launch import Launch
from parkmeter.leash.files import Files, read_json
from parkmeter.ports import Driver

SERVER = Path(__file__).parent / "servers" / "ping.py"
PATIENCE = 30.0
"""Seconds; only a test that fails, or a machine that stands still, waits so long."""


class Handle(Protocol):
    """One driver under test."""

    driver: Driver
    on_leash: bool  # an endpoint that is no longer kept ends by itself
    stops_while_starting: bool  # otherwise the stop is to be asked for until it is possible
    address_begins: str  # the address of what `good` makes

    def good(self) -> Spec:
        """Return an endpoint that gets ready and stops when requested."""

    def slow(self) -> Spec:
        """Return one that starts slowly enough for a test to act meanwhile."""

    def fails_once(self) -> Spec:
        """Return one whose first start fails with "no such weights"."""

    def impossible(self) -> Spec:
        """Return one that the provider refuses to start."""

    def now(self) -> datetime:
        """Return the driver's time."""

    def pass_time(self) -> None:
        """Let a little time pass."""

    def starts_of(self, spec: Spec) -> int:
        """Return the number of actual starts of an endpoint."""


def start(handle: Handle, spec: Spec, seconds: float = 600, version: int = 1) -> None:
    until = handle.now() + timedelta(seconds=seconds)
    handle.driver.start(spec, spec.variants[0], until, version)


def watch(
    handle: Handle, spec: Spec, until: Phase, before_each_look: Callable[[], None] = lambda: None
) -> list[Observed]:
    """Return what is observed until this phase, one observation per change of phase."""
    before_each_look()
    seen = [handle.driver.observe(spec)]
    give_up = time.monotonic() + PATIENCE
    while seen[-1].phase is not until:
        assert time.monotonic() < give_up, f"never {until}; seen: {seen}"
        handle.pass_time()
        before_each_look()
        now = handle.driver.observe(spec)
        if now.phase is not seen[-1].phase:
            seen.append(now)
    return seen


def phases(seen: list[Observed]) -> list[Phase]:
    return [one.phase for one in seen]


def wait_for(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> float:
    """Return the seconds until this holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, f"not within {within} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - began


class FakeHandle:
    on_leash = True
    stops_while_starting = True
    address_begins = "http://"

    def __init__(self) -> None:
        self._now = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
        self.driver = FakeDriver(self.now)

    def good(self) -> Spec:
        return Spec("good")

    def slow(self) -> Spec:
        return Spec("slow")

    def fails_once(self) -> Spec:
        self.driver.fail_next_start("bad", "exit code 3: no such weights")
        return Spec("bad")

    def impossible(self) -> Spec:
        self.driver.refuse("start", "impossible", times=1000)
        return Spec("impossible")

    def now(self) -> datetime:
        return self._now

    def pass_time(self) -> None:
        self._now += timedelta(milliseconds=100)

    def starts_of(self, spec: Spec) -> int:
        return self.driver.lives[spec.name]


@dataclass
class ProcessHandle:
    """The process driver on a folder of its own."""

    folder: Path
    on_leash: bool = True
    stops_while_starting: bool = True
    address_begins: str = "http://"
    launches: dict[str, Launch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.driver = ProcessDriver(self.folder, self.launches)

    def server(self, name: str, *flags: str, **settings: object) -> Spec:
        """Return an endpoint with these flags of `servers/ping.py` and settings of `Launch`."""
        command = (sys.executable, "-I", "-S", str(SERVER), "{port}", *flags)
        self.launches[name] = Launch(command, **settings)
        return Spec(name)

    def good(self) -> Spec:
        # Not at once, so that even a look that comes late still sees it starting.
        return self.server("good", "--ready-after", "0.2")

    def slow(self) -> Spec:
        return self.server("slow", "--ready-after", "600")

    def fails_once(self) -> Spec:
        once = self.folder / "failed-once"
        script = f'[ -e "{once}" ] && exec "$@"; touch "{once}"; echo no such weights >&2; exit 3'
        command = (sys.executable, "-I", "-S", str(SERVER), "{port}")
        self.launches["bad"] = Launch(("sh", "-c", script, "sh", *command))
        return Spec("bad")

    def impossible(self) -> Spec:
        self.launches["impossible"] = Launch(("no-such-program", "{port}"))
        return Spec("impossible")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pass_time(self) -> None:
        time.sleep(0.005)

    def files(self, spec: Spec) -> Files:
        return Files(str(self.folder), spec.name)

    def record(self, spec: Spec) -> dict[str, object]:
        return read_json(self.files(spec).record) or {}

    def leash_of(self, spec: Spec) -> int:
        return int(self.record(spec)["leash"])

    def server_of(self, spec: Spec) -> int:
        return int(self.record(spec)["server"])

    def starts_of(self, spec: Spec) -> int:
        log = Path(self.files(spec).log)
        return log.read_text().count("--- parkmeter run ") if log.exists() else 0

    def end_everything(self) -> None:
        """Stop everything a test has started."""
        for name in self.driver.owned():
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.kill(self.leash_of(Spec(name)), signal.SIGCONT)
            self.end(Spec(name))

    def end(self, spec: Spec) -> None:
        give_up = time.monotonic() + PATIENCE
        while self.driver.observe(spec).phase is not Phase.ABSENT:
            assert time.monotonic() < give_up, f"{spec.name} does not end"
            self.driver.stop(spec)
            time.sleep(0.02)


@contextlib.contextmanager
def fake() -> Iterator[FakeHandle]:
    yield FakeHandle()


@contextlib.contextmanager
def process(folder: Path) -> Iterator[ProcessHandle]:
    handle = ProcessHandle(folder)
    try:
        yield handle
    finally:
        handle.end_everything()
