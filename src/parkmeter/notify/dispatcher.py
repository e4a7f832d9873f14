"""The delivery of journal entries to receivers as events, at least once each.

The journal is the outbox: a committed entry is in it, and the place each receiver has reached is
stored beside it, so a gateway that was killed continues where it was. Each receiver has its own
thread: one that hangs delays neither the others nor the meter. Knows no HTTP.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter.core.digest import WITHIN, digest, may_wait
from parkmeter.core.events import Event
from parkmeter.core.journal import Entry
from parkmeter.errors import StoreBusyError
from parkmeter.notify.receiver import GoneError, ReadByPeople, Receiver
from parkmeter.ports import Outbox, Posted

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds between two attempts: exponential backoff from the first to the longest. Half of a pause
is jitter, so that receivers that come back are not overrun."""

GIVE_UP_AFTER = timedelta(days=1)
"""Age of an entry at which it is dropped: it helps no one and holds back newer ones."""

TRIED_FOR = timedelta(hours=1)
"""Time a receiver must have been failing before anything is dropped: a gateway that was off for a
weekend has old entries to deliver, and one refused connection is no reason not to."""

_BATCH = 50
"""Entries in memory, per receiver."""


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """Dependencies shared by all delivery threads.

    `event_of` makes the event of an entry; None if the entry is not published.
    """

    outbox: Outbox
    event_of: Callable[[Entry], Event | None]
    now: Callable[[], datetime]
    jitter: Callable[[], float] = random.random


class Dispatcher:
    """Implements `ports.Notifier`: a commit only wakes the receivers' threads.

    `receivers` are identified by names that stay the same across restarts.
    """

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._followers: dict[str, _Follower] = {}

    def send(self, entry: Entry) -> None:  # noqa: ARG002 (the journal has it)
        """Wake the delivery threads; see `ports.Notifier`."""
        for follower in self._followers.values():
            follower.wake()

    def configure(self, receivers: Mapping[str, Receiver]) -> None:
        """Replace the receivers. Call from one thread at a time.

        A new one gets what is committed from now on. One that stays keeps its place and uses its
        new settings from its next attempt, which is now.
        """
        places = self._context.outbox.follow(receivers)
        before, after = self._followers, dict[str, _Follower]()
        for name, receiver in receivers.items():
            follower = before.get(name)
            if follower is None or follower.ended:
                follower = _Follower(name, self._context, receiver, places[name])
            follower.receiver = receiver
            after[name] = follower
        self._followers = after  # replaced whole, because `send` reads it in other threads
        for follower in set(before.values()) - set(after.values()):
            follower.cancel()
        for follower in after.values():
            follower.start_or_retry()

    def stop(self, within: float) -> None:
        """Deliver what is left, for at most `within` seconds; the next start delivers the rest."""
        give_up = time.monotonic() + within
        followers, self._followers = self._followers, {}
        for follower in followers.values():
            follower.finish()
        for follower in followers.values():
            follower.join(max(0.0, give_up - time.monotonic()))
            follower.cancel()


class _CancelledError(Exception):
    """Raised in a follower's thread to end it."""


class _Follower:
    """One receiver's position in the journal, on its own thread.

    A place is saved after its entry was delivered; if killed between the two, the entry is
    delivered again. Top-ups that people read may be held for a minute; everything else comes after
    those before it.
    """

    def __init__(self, name: str, context: DeliveryContext, receiver: Receiver, place: int) -> None:
        self.receiver = receiver
        self.ended = False
        self._name = name
        self._context = context
        self._place = place
        self._cancelled = False
        self._finishing = False
        self._woken = threading.Event()
        self._reconfigured = threading.Event()
        # A daemon: a receiver that hangs must not keep the gateway from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing_since: datetime | None = None
        self._held: list[Entry] = []
        self._told_at: dict[str, datetime] = {}
        """When a message of a top-up was last sent, by endpoint."""

    def wake(self) -> None:
        """Have the journal read again; from any thread, never blocks."""
        self._woken.set()

    def start_or_retry(self) -> None:
        """Start the thread; if it is in a pause between attempts, retry now."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._reconfigured.set()

    def finish(self) -> None:
        """Stop as soon as nothing is left or a delivery fails."""
        self._finishing = True
        self._woken.set()
        self._reconfigured.set()

    def cancel(self) -> None:
        """Stop after the current delivery attempt."""
        self._cancelled = True
        self.finish()

    def join(self, within: float) -> None:
        """Wait up to `within` seconds for the thread to end."""
        self._thread.join(within)

    # ── On its thread ───────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while True:
                self._woken.clear()  # before reading, so that nothing is missed
                batch = self._read()
                for posted in batch:
                    if not self._hold(posted.entry):
                        self._deliver_held()
                        if self._deliver([posted.entry]):
                            self._save(posted.place)
                    self._place = posted.place
                wait = self._seconds_held()
                if wait is not None and (self._finishing or wait <= 0) and not batch:
                    self._deliver_held()
                    self._save(self._place)
                elif batch:
                    if wait is None:  # or a kill would lose those that are held
                        self._save(self._place)
                elif self._finishing:
                    return
                else:
                    self._woken.wait(wait)
        except _CancelledError:
            return
        finally:
            self.ended = True

    def _hold(self, entry: Entry) -> bool:
        """Return whether a top-up is held: a message of its endpoint's was sent just now."""
        if not (isinstance(self.receiver, ReadByPeople) and may_wait(entry)):
            return False
        now, told_at = self._context.now(), self._told_at.get(entry.endpoint)
        if told_at is None or not timedelta(0) <= now - told_at < WITHIN:
            self._told_at[entry.endpoint] = now
            return False
        self._held.append(entry)
        return True

    def _seconds_held(self) -> float | None:
        """Return the seconds until the top-ups held are due; None without any."""
        if not self._held:
            return None
        told_at = min(self._told_at[entry.endpoint] for entry in self._held)
        left = told_at + WITHIN - self._context.now()
        return min(left, WITHIN).total_seconds()  # not longer if the clock is set back

    def _deliver_held(self) -> None:
        """Deliver the top-ups held, those of one endpoint as one message."""
        held, self._held = self._held, []
        for endpoint in dict.fromkeys(entry.endpoint for entry in held):
            self._told_at[endpoint] = self._context.now()
            self._deliver([entry for entry in held if entry.endpoint == endpoint])

    def _read(self) -> list[Posted]:
        while True:
            self._check_cancelled()
            try:
                return self._context.outbox.posted(self._place, _BATCH)
            except StoreBusyError as error:
                log.warning("%s: cannot read the journal; retrying: %s", self._name, error.title)
            except Exception:
                log.exception("%s: cannot read the journal; retrying", self._name)
            self._pause(FIRST_PAUSE)

    def _deliver(self, entries: Sequence[Entry]) -> bool:
        """Return whether an event was sent; False if it is not published or was given up.

        Several entries are top-ups that are one message.
        """
        pause, entry = FIRST_PAUSE, entries[-1]
        while True:
            self._check_cancelled()
            self._reconfigured.clear()  # set during the attempt, it cuts short the pause after it
            try:
                event = self._context.event_of(entry)
                if event is not None:
                    self.receiver.send(digest(event, entries))
            except GoneError as gone:
                log.error("%s has unsubscribed: %s", self._name, gone)  # noqa: TRY400
                self._unsubscribe()
                raise _CancelledError from gone
            except Exception as error:  # noqa: BLE001 (every failure is retried)
                now = self._context.now()
                self._failing_since = self._failing_since or now
                what, why = f"{entry.kind} of {entry.endpoint}", str(error) or type(error).__name__
                if now - entry.at > GIVE_UP_AFTER and now - self._failing_since > TRIED_FOR:
                    log.error("%s: gave up on %s: %s", self._name, what, why)  # noqa: TRY400
                    return False
                wait = pause * (1 + self._context.jitter()) / 2
                message = "%s: could not deliver %s: %s; retrying in %.1f s"
                log.warning(message, self._name, what, why, wait)
                pause = FIRST_PAUSE if self._pause(wait) else min(pause * 2, LONGEST_PAUSE)
            else:
                self._failing_since = None
                return event is not None

    def _save(self, place: int) -> None:
        try:
            self._context.outbox.passed(self._name, place)
        except Exception:
            # It continues from memory; if killed now, it would deliver some entries twice.
            log.exception("%s: cannot save its place in the journal", self._name)

    def _unsubscribe(self) -> None:
        try:
            self._context.outbox.leave(self._name)
        except Exception:
            log.exception("%s: cannot save that it has unsubscribed", self._name)

    def _pause(self, seconds: float) -> bool:
        """Wait; return whether new settings cut the pause short."""
        if self._finishing:
            raise _CancelledError
        cut_short = self._reconfigured.wait(seconds)
        self._reconfigured.clear()
        if self._finishing:
            raise _CancelledError
        return cut_short

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise _CancelledError
