"""The ports of the core, each with the contract that every adapter keeps.

One contract suite per port runs over every adapter (`tests/contract`). Imports only the core.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from parkmeter.core.decision import Observed
from parkmeter.core.device import Claim
from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter, Phase, Spec, Status, closes_at, latest_close
from parkmeter.core.request_counts import Count
from parkmeter.core.status import shown
from parkmeter.core.tokens import Token


class StaleError(Exception):
    """Raised by `Store.commit` when the meter, or its device's holder, has changed since read."""


class DuplicateError(Exception):
    """Raised by `Store.commit` when an entry's key is in the journal already; has it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.key)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes that a token may add on one day (UTC), counted in the transaction that adds them."""

    token_id: str
    day: date
    minutes: float
    limit: float


class Store(Protocol):
    """Keeps meters, journal and tokens. Safe from any thread and, where shared, any process."""

    def load(self, name: str) -> Meter:
        """Return the meter; one never seen is closed, settled and of version 0."""

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """Return the meters of these names in one query, in the order of `names`; see `load`.

        Each is as of its own moment: together they are no snapshot.
        """

    def unsettled(self) -> Iterable[str]:
        """Return the names of all meters that are not settled, in no order.

        The most recent changes may be missing. Names only: one meter that cannot be read must not
        hide the others.
        """

    def holder(self, device: str) -> str | None:
        """Return the name of the meter that claimed this device last; None if none ever did."""

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """Write meter and entries, all or nothing, at the version that was read.

        Returns the meter with a version higher by one. Entries get the next numbers of their
        endpoint, in order. A key that is older than `KEY_LIFETIME` (by the entries' own times) may
        recur. With a claim the meter holds its device from now on.

        Raises:
            StaleError: the meter changed since it was read, or the claim does not hold.
            DuplicateError: an entry's key is in the journal already. Tested before the version,
                so that a repeated request always finds its first answer.
            OverBudgetError: the budget does not suffice.
            StoreBusyError: the store cannot be written now.

        """

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """Return the entry with this key made after `since`, if there is one."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """Return the newest `limit` entries, newest first, of numbers below `before`."""

    def tokens(self) -> list[Token]:
        """Return every token, oldest first."""

    def put_token(self, token: Token) -> None:
        """Add a token, or replace the one with the same id."""

    def remove_token(self, token_id: str) -> bool:
        """Remove a token for good; False if there was none."""

    def close(self) -> None:
        """Release files and connections."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A journal entry and its place among the entries of all endpoints."""

    place: int
    entry: Entry


class Outbox(Protocol):
    """The journals of all endpoints as one, for the delivery of notifications.

    Entries are in the order of their commits, so none appears behind a place that has been read.
    The place of each follower is kept as durably as the journal. Entries that all followers have
    passed may be forgotten here, and with no follower all of them: the journals have them.
    """

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """Set the followers; return the place that each has passed.

        A new one begins at the journal's end; so does one that comes back.
        """

    def posted(self, after: int, limit: int) -> list[Posted]:
        """Return the first `limit` entries behind a place. The cost depends on `limit` only."""

    def passed(self, follower: str, place: int) -> None:
        """Record that a follower has passed this place. An unknown follower is ignored."""

    def leave(self, follower: str) -> None:
        """Remove a follower; one that comes back begins at the journal's end."""


class Driver(Protocol):
    """Starts, stops and observes one kind of endpoint.

    Every method is idempotent and returns without waiting for the endpoint. Raises DriverError with
    a reason for people when the provider refuses or cannot be reached.
    """

    def observe(self, spec: Spec) -> Observed:
        """Return the present state of an endpoint."""

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """Begin to start it; does nothing if one is there. `until`, `version`: as in `keep`."""

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Let it run until `until` even without another call; a lower `version` is ignored."""

    def stop(self, spec: Spec) -> None:
        """Begin to stop it, or clear what a failed one left; `observe` shows it afterwards.

        Where the provider does not permit it yet (an endpoint that is still being created), nothing
        changes and `observe` shows the same as before: to be called again.
        """

    def owned(self) -> Iterable[str]:
        """Return the names of all endpoints this driver started that are not absent."""


class Log(Protocol):
    """The output of one endpoint, read from some line on. For one reader at a time."""

    def read(self) -> bytes:
        """Return the next piece, oldest first; empty: no further output yet.

        Raises:
            DriverError: it cannot be read.

        """

    def close(self) -> None:
        """Release the log."""


class Logs(Protocol):
    """The kept output of endpoints."""

    def open(self, name: str, lines: int, *, follow: bool) -> Log:
        """Return an endpoint's log from its last `lines` lines on; empty if it never printed.

        `follow`: it will also be read for later output.

        Raises:
            DriverError: it cannot be read.
            LogsElsewhereError: it is not kept here; names the place.

        """


class RequestCounts(Protocol):
    """The numbers of requests admitted to endpoints."""

    def of(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[Count] | None:
        """Return the slots of a period with any requests, oldest first; None: not known."""


class RequestBook(Protocol):
    """Durable request counts of the last `request_counts.KEPT`."""

    def add(self, minute: datetime, counts: Mapping[str, int]) -> None:
        """Add the counts of a minute to those it has.

        Raises:
            StoreBusyError: nothing was written.

        """

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> Sequence[Count]:
        """Return as `RequestCounts.of`. Raises StoreBusyError."""


class Clock(Protocol):
    """The time, and the calls of reconcile."""

    def now(self) -> datetime:
        """Return wall time, UTC."""

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Have `name` reconciled at `at`, at once if None; from any thread, never blocks."""


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot of a meter for the data plane.

    `open_until` is the latest close; `expires_at` the close as of the last look; `retry_at`: when
    the next start is tried, if it is backing off.
    """

    name: str
    version: int
    open_until: datetime
    expires_at: datetime
    status: Status
    reason: str
    address: str | None = None
    retry_at: datetime | None = None

    @classmethod
    def of(cls, meter: Meter, now: datetime) -> "View":
        """Return the view of a meter as committed."""
        seen = shown(meter, now)
        return cls(
            name=meter.name,
            version=meter.version,
            open_until=latest_close(meter),
            expires_at=closes_at(meter, now),
            status=seen.status,
            reason=seen.reason,
            address=meter.run.address,
            retry_at=meter.run.next_try if meter.run.phase is Phase.FAILED else None,
        )


class Gate(Protocol):
    """The state that the data plane asks for: open or not, address, requests in flight."""

    def show(self, view: View) -> None:
        """Take a newer view; one of a lower version than the present one is ignored."""

    def in_flight(self, name: str) -> int | None:
        """Return the requests being answered now; None where that is not known."""

    def last_prompt(self, name: str) -> datetime | None:
        """Return when the last prompt was answered; now, if one is being answered.

        Before the first one: since when prompts are counted; None where they are not. Requests that
        only look at a model are in flight but no prompts: they do not show that it is used.
        """


class Notifier(Protocol):
    """Receives every journal entry once, right after its commit, from the committing process."""

    def send(self, entry: Entry) -> None:
        """Take one entry without delay: the meter waits. An exception is logged."""
