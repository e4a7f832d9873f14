"""The end of a run: servers are stopped first, then what is left is written and delivered.

A stop never needs the disk: it hardly waits for a store that is locked, and for no thread that may
be stuck in it. Only the records after it may take a moment.
"""

import contextlib
import functools
import time
from dataclasses import dataclass
from datetime import datetime

from parkmeter.core.meter import Spec
from parkmeter.drivers.process import ProcessDriver
from parkmeter.errors import DriverError, ParkmeterError
from parkmeter.gateway.reload import Reloader
from parkmeter.gateway.wiring import Parts

_STOP_PATIENCE = 0.5
"""Seconds to wait for another process that writes the store, before servers are stopped without a
record: enough for an ordinary transaction."""

_RECORD_PATIENCE = 2.0
"""The same once servers are stopped, for all records together."""

_TOP_UPS_SECONDS = 3.0
"""For top-ups by prompts that are under way."""

_PARKING_SECONDS = 5.0
"""For a leash beyond the grace of its server, to kill and to clean up."""

_DELIVERY_SECONDS = 3.0
"""For pending notifications when the gateway ends; the next gateway delivers the rest."""


@dataclass(frozen=True, slots=True)
class Ended:
    """State at the end of a run.

    `stopping`: endpoints that were not gone in time, left to their leashes. `closes`: the close of
    each meter that still holds time, which goes on running out. `lost`: why the state folder could
    no longer be used, which ended the run; empty otherwise.
    """

    stopping: list[str]
    closes: dict[str, datetime]
    lost: str = ""


class Shutdown:
    """The end of one run, in three steps: `begin`, `stop_endpoints`, `finish`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._give_up: float | None = None
        """Time at which slow endpoints are left to their leashes; None: all are."""
        self._stopping: list[str] = []

    def begin(self) -> None:
        """End event streams, answer held requests. On the loop of the requests."""
        self._parts.store.wait_at_most(_STOP_PATIENCE)
        self._parts.end_requests()

    def stop_endpoints(self, grace: float) -> None:
        """Stop every endpoint; meters keep their expiry. Slow ones are left to their leashes.

        `grace`: seconds from SIGTERM to SIGKILL of the slowest.
        """
        self._give_up = time.monotonic() + grace + _PARKING_SECONDS
        self._parts.clock.end()
        self._parts.store.wait_at_most(_STOP_PATIENCE)
        self._parts.data_plane.join(_TOP_UPS_SECONDS)  # no top-up may come after the parking
        self._park()

    def finish(self, reloader: Reloader, lost: str) -> Ended:
        """End all threads, then write and deliver what is left, within a bounded time."""
        parts = self._parts
        parts.clock.stop()
        parts.data_plane.join(_TOP_UPS_SECONDS)
        parts.store.wait_at_most(_RECORD_PATIENCE)
        self._park()  # again: a call of the clock that was running may have started one
        reloader.stop()
        parts.backups.stop()
        parts.health.stop()
        parts.upkeep.stop()
        parts.requests.finish()
        ended = Ended(self._stopping, _closes(parts), lost)
        parts.dispatcher.stop(_DELIVERY_SECONDS)
        return ended

    def _park(self) -> None:
        if self._give_up is None:
            return
        park = self._parts.service.park
        if self._parts.store.fault is not None:
            park = functools.partial(_stop_unrecorded, self._parts.driver)
        while (present := park()) and time.monotonic() < self._give_up:
            time.sleep(0.02)
        self._stopping = present


def _stop_unrecorded(driver: ProcessDriver) -> list[str]:
    """Stop every endpoint without its meter, which cannot be written; return those present."""
    with contextlib.suppress(DriverError):
        present = list(driver.owned())
        for name in present:
            driver.stop(Spec(name))
        return present
    return []


def _closes(parts: Parts) -> dict[str, datetime]:
    try:
        reports = parts.service.reports()
    except ParkmeterError:  # a store that cannot be read must not hinder the end
        return {}
    return {report.spec.name: report.closes_at for report in reports if report.left}
