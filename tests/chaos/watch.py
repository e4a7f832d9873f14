"""The watcher: compares what runs with what the meters say, while everything else goes on."""

import http.client
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import latest_close
from tests.chaos.ledger import LATE, ORPHAN, UNDELIVERED, Ledger
from tests.chaos.world import CREDIT, DRAIN, GRACE, NAMES, Running, World

SLACK = 8.0
"""Seconds for a leash on a busy machine to act after head start, drain and grace."""

HUNG_SLACK = SLACK + 30.0
"""Seconds for the gateway instead, if the leash is stopped: 20 s of silence show that it hangs."""

DELIVERED_WITHIN = 8.0
"""Seconds for the deadline of a running server to follow its meter."""

ORPHANED_AFTER = 20.0
"""Seconds after which a process of a run that is no longer there is an orphan."""


class Watcher:
    """One thread; every find is put down once a run of an endpoint."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._since: dict[tuple[str, str], float] = {}
        """Since when something is as it should not be, by promise and endpoint or process."""
        self._put_down: set[tuple[str, str]] = set()
        self._bought: dict[str, tuple[int, float]] = {}
        """By endpoint: the last entry that was read, and until when its bought time lasts on the
        monotonic clock."""
        self._serving: int | None = None
        """The start of the gateway that is known to serve."""
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            try:
                self._look()
            except sqlite3.Error:  # locked, or on a disk that is full: the next look sees it
                continue

    def _look(self) -> None:
        running = self._world.running()
        self._read_journals()
        meters = self._world.meters()
        self.looks += 1
        for name in NAMES:
            mine = [one for one in running if one.endpoint == name]
            meter = meters.get(name)
            if meter is None:
                continue
            close = latest_close(meter)
            over = (self._world.now() - close).total_seconds()
            late = bool(mine) and over > DRAIN + GRACE
            self._judge_late(name, "", late, f"{over:.1f} s")
            beyond = time.monotonic() - self._bought.get(name, (0, 0.0))[1]
            beyond -= 0.0 if meter.run.ready_at else CREDIT
            late = bool(mine) and beyond > DRAIN + GRACE
            self._judge_late(name, " (bought)", late, f"{beyond:.1f} s beyond what was bought")
            self._look_for_orphans(name, mine)
            self._look_at_deadline(name, meter, close)

    def _judge_late(self, name: str, which: str, late: object, details: str) -> None:
        """Allow the leash its time, or, where it is stopped, the gateway; if neither runs, all."""
        leash = self._world.leash_of(name)
        hung = leash is not None and _is_stopped(leash)
        acts = leash is not None and not hung
        late = bool(late) and (acts or self._gateway_serves())
        self._judge(LATE, f"{name}{which}", late and not hung, SLACK, details)
        self._judge(LATE, f"{name}{which}, leash stopped", late and hung, HUNG_SLACK, details)

    def _gateway_serves(self) -> bool:
        """Return whether the gateway is up, and not just on its way."""
        start = self._world.starts
        if self._serving != start:
            connection = http.client.HTTPConnection("127.0.0.1", self._world.port, timeout=0.2)
            with closing(connection), suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    self._serving = start
        return self._world.up and self._serving == start

    def _look_for_orphans(self, name: str, mine: list[Running]) -> None:
        record = self._world.run_file(name, "json")
        over = record is None or record["state"] in ("stopped", "failed")
        left = bool(mine) and over and self._gateway_serves()
        details = f"{[one.pid for one in mine]} after the end of their run"
        self._judge(ORPHAN, name, left, ORPHANED_AFTER, details)

    def _look_at_deadline(self, name: str, meter, close) -> None:
        """Compare the deadline of a ready server with its open meter."""
        deadline, record = (
            self._world.run_file(name, "deadline"),
            self._world.run_file(name, "json"),
        )
        wrong, details = False, ""
        ready = meter.run.ready_at is not None and self._world.now() < meter.expires_at
        if ready and deadline and record and record["state"] == "running":
            wrong = self._gateway_serves()
            by = deadline["until"] - meter.expires_at.timestamp()
            wrong &= not -1.0 < by < DRAIN + 1.0
            details = f"the deadline is {by:+.1f} s off"
        self._judge(UNDELIVERED, name, wrong, DELIVERED_WITHIN, details)

    def _judge(self, promise: str, name: str, wrong: object, seconds: float, details: str) -> None:
        """Put it down once it has been wrong for so long; again only after it was right."""
        known = promise, name
        if not wrong:
            self._since.pop(known, None)
            self._put_down.discard(known)
            return
        since = self._since.setdefault(known, time.monotonic())
        if time.monotonic() - since > seconds and known not in self._put_down:
            self._put_down.add(known)
            self._ledger.breaks(promise, f"{name}: {details}")

    # ── What was bought, in elapsed time ─────────────────────────────────────────────────────────

    def _read_journals(self) -> None:
        for name in NAMES:
            number, until = self._bought.get(name, (0, 0.0))
            for entry in self._world.journal(name, after=number):
                until = _bought_until(entry, until)
                number = entry.number
            self._bought[name] = number, until


def _bought_until(entry: Entry, until: float) -> float:
    now = time.monotonic()
    match entry.kind:
        case Kind.TOP_UP | Kind.CREDIT:
            return max(until, now) + entry.amount / timedelta(seconds=1)
        case Kind.EJECT:
            return min(until, now)
        case _:
            return until


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "Tt"
    except OSError:
        return True
