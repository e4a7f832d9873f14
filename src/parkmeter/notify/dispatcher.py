"""Tells others what the journal says, at least once each, however long they are away.

The journal is the outbox: what was committed is in it, and how far each receiver got is kept
beside it, so a gateway that is killed goes on where it was. Each receiver has a thread of its own:
one that hangs delays neither the others nor the meter. Knows neither HTTP nor what is told.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from parkmeter.core.events import Event
from parkmeter.core.journal import Entry
from parkmeter.notify.receiver import GoneError, Receiver
from parkmeter.ports import Outbox as Lines
from parkmeter.ports import Posted

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds between two tries: doubled from the one up to the other, half of it at random, so that
receivers that came back are not overrun."""

GIVE_UP_AFTER = timedelta(days=1)
"""What could not be delivered for so long helps nobody any more, and keeps back what does."""

TRIED_FOR = timedelta(hours=1)
"""And so long a receiver must have failed by then: a gateway that was off for a weekend has old
lines to tell, and one refused connection is no reason not to."""

_AT_ONCE = 50
"""Lines in memory, for each receiver."""


@dataclass(frozen=True, slots=True)
class Post:
    """What every receiver's thread stands on. `announce`: the event of a line, None if none."""

    lines: Lines
    announce: Callable[[Entry], Event | None]
    now: Callable[[], datetime]
    jitter: Callable[[], float] = random.random


class Outbox:
    """Implements `ports.Notifier` as a bell: whoever commits only wakes the receivers' threads.

    `receivers` are told apart by names that stay the same over restarts.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._followers: dict[str, _Follower] = {}

    def send(self, entry: Entry) -> None:  # noqa: ARG002 (the journal has it)
        """See `ports.Notifier`."""
        for follower in self._followers.values():
            follower.wake()

    def configure(self, receivers: Mapping[str, Receiver]) -> None:
        """From now on these are told, and no others. Not from several threads at once.

        A new one hears of what is committed from now on. One that stays goes on where it is, by its
        new settings from its next try on, which is now.
        """
        places = self._post.lines.follow(receivers)
        before, after = self._followers, dict[str, _Follower]()
        for name, receiver in receivers.items():
            follower = before.get(name)
            if follower is None or not follower.listens:
                follower = _Follower(name, self._post, receiver, places[name])
            follower.receiver = receiver
            after[name] = follower
        self._followers = after  # replaced whole, because others ring meanwhile
        for follower in set(before.values()) - set(after.values()):
            follower.leave()
        for follower in after.values():
            follower.go_on()

    def stop(self, within: float) -> None:
        """Deliver what is left, for so many seconds; what remains then, the next start delivers."""
        give_up = time.monotonic() + within
        followers, self._followers = self._followers, {}
        for follower in followers.values():
            follower.finish()
        for follower in followers.values():
            follower.join(max(0.0, give_up - time.monotonic()))
            follower.leave()


class _LeavingError(Exception):
    """Raised in a follower's thread where it should end."""


class _Follower:
    """One receiver's way through the journal, on a thread of its own.

    A place is passed when its line was delivered; killed between the two, the line comes again.
    """

    def __init__(self, name: str, post: Post, receiver: Receiver, place: int) -> None:
        self.receiver = receiver
        self.listens = True
        self._name = name
        self._post = post
        self._place = place
        self._wanted = True
        self._finishing = False
        self._woken = threading.Event()
        self._changed = threading.Event()
        # A daemon: a receiver that hangs must not keep the gateway from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failing_since: datetime | None = None

    def wake(self) -> None:
        """There may be something new in the journal; from any thread, never blocks."""
        self._woken.set()

    def go_on(self) -> None:
        """Begin; or, if it waits for its next try, try now."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._changed.set()

    def finish(self) -> None:
        """End as soon as nothing is left, or something cannot be delivered."""
        self._finishing = True
        self._woken.set()
        self._changed.set()

    def leave(self) -> None:
        """End with the try that is under way."""
        self._wanted = False
        self.finish()

    def join(self, within: float) -> None:
        """Wait until it has ended, for so many seconds."""
        self._thread.join(within)

    # ── On its thread ───────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while True:
                self._woken.clear()  # before reading, so that nothing is missed
                posted = self._read()
                for line in posted:
                    if self._deliver(line.entry):
                        self._save(line.place)
                    self._place = line.place
                if posted:
                    self._save(self._place)
                elif self._finishing:
                    return
                else:
                    self._woken.wait()
        except _LeavingError:
            return
        finally:
            self.listens = False

    def _read(self) -> list[Posted]:
        while True:
            self._still_wanted()
            try:
                return self._post.lines.posted(self._place, _AT_ONCE)
            except Exception:
                log.exception("%s: the journal cannot be read; trying again", self._name)
            self._pause(FIRST_PAUSE)

    def _deliver(self, entry: Entry) -> bool:
        """Whether the receiver was told; False: not to be told of this, or given up."""
        pause = FIRST_PAUSE
        while True:
            self._still_wanted()
            self._changed.clear()  # what changes during the try cuts short the pause after it
            try:
                event = self._post.announce(entry)
                if event is not None:
                    self.receiver.send(event)
            except GoneError as gone:
                log.error("%s is told nothing any more: %s", self._name, gone)  # noqa: TRY400
                self._forget()
                raise _LeavingError from gone
            except Exception as error:  # noqa: BLE001 (whatever it is, it is tried again)
                now = self._post.now()
                self._failing_since = self._failing_since or now
                if now - entry.at > GIVE_UP_AFTER and now - self._failing_since > TRIED_FOR:
                    log.error(  # noqa: TRY400 (in words)
                        "%s was never told of %s: %s", self._name, _what(entry), _words(error)
                    )
                    return False
                wait = pause * (1 + self._post.jitter()) / 2
                said = "%s was not told of %s: %s; trying again in %.1f s"
                log.warning(said, self._name, _what(entry), _words(error), wait)
                pause = FIRST_PAUSE if self._pause(wait) else min(pause * 2, LONGEST_PAUSE)
            else:
                self._failing_since = None
                return event is not None

    def _save(self, place: int) -> None:
        try:
            self._post.lines.passed(self._name, place)
        except Exception:
            # It goes on from memory; after a kill now it would tell some lines twice.
            log.exception("%s: how far it got could not be written", self._name)

    def _forget(self) -> None:
        try:
            self._post.lines.leave(self._name)
        except Exception:
            log.exception("%s: that it was told no more could not be written", self._name)

    def _pause(self, seconds: float) -> bool:
        """Whether the pause was cut short because the settings changed."""
        if self._finishing:
            raise _LeavingError
        cut_short = self._changed.wait(seconds)
        self._changed.clear()
        if self._finishing:
            raise _LeavingError
        return cut_short

    def _still_wanted(self) -> None:
        if not self._wanted:
            raise _LeavingError


def _what(entry: Entry) -> str:
    return f"the {entry.kind} of {entry.endpoint}"


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
