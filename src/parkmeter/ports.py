"""The ports: what the use cases need from the outside, each with the contract of its adapters.

One contract suite per port runs over every adapter (`tests/contract`). Imports only `core`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from parkmeter.core.audit import Record
from parkmeter.core.decision import Observed
from parkmeter.core.device import Claim
from parkmeter.core.journal import Entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.core.request_counts import Count
from parkmeter.core.status import View
from parkmeter.core.tokens import Token
from parkmeter.core.usage import Used, UsedAt

if TYPE_CHECKING:  # importing a port must not load the code of receipts
    from parkmeter.core.ledger import Mark, PricedRun


class StaleError(Exception):
    """Raised by `Store.commit` when the meter or its device's holder has changed since the read."""


class DuplicateError(Exception):
    """Raised by `Store.commit` when an entry's key is in the journal; carries the first entry."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.key)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes a token may add on one day (UTC); counted in the transaction that adds them."""

    token_id: str
    day: date
    minutes: float
    limit: float


class Store(Protocol):
    """Meters, journal and tokens. Safe from any thread and, where shared, any process."""

    def load(self, name: str) -> Meter:
        """Return a meter; one never seen is closed, settled and of version 0."""

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """Return these meters, each as by `load`, in one query; in the order of `names`.

        They are no snapshot: each is as of its own moment.
        """

    def unsettled(self) -> Iterable[str]:
        """Return the names of unsettled meters, in any order; the latest changes may be missing.

        Names only: one meter that cannot be read must not hide the others.
        """

    def holder(self, device: str) -> str | None:
        """Return the name of the last endpoint to claim this device, or None."""

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """Write meter and entries, all or nothing, at the version read; return the new meter.

        The returned meter's version is higher by one. Entries get the next numbers of their
        endpoint, in order. A key older than `KEY_LIFETIME` (by the entries' own times) may be used
        again. With a claim the meter holds its device from now on.

        Raises:
            StaleError: the meter has changed since the read, or the claim does not hold.
            DuplicateError: an entry's key is in the journal. Tested before the version, so that a
                repeated request always finds its first result.
            OverBudgetError: over the budget.
            StoreBusyError: the store cannot be written now.

        """

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """Return the entry with this key made after `since`, or None."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """Return the newest `limit` entries, newest first; only those numbered below `before`."""

    def marks(self, name: str, moment: datetime | None) -> "tuple[Mark | None, Mark | None]":
        """Return the last mark of an earlier moment, and the first one of `moment` or later.

        None: the newest mark, and None. Commits add and drop marks; see `core.ledger`. There may
        be fewer than a journal should have, but each is of all lines up to its own.
        """

    def past_runs(self, name: str, begin: datetime, end: datetime) -> "list[PricedRun]":
        """Return the runs that the marks from `begin` on and before `end` have, in order."""

    def add_marks(self, name: str, marks: "Sequence[Mark]", last: int) -> bool:
        """Add marks; return False, and add none, if `last` is not the last entry's number."""

    def tokens(self) -> list[Token]:
        """Return every token, oldest first."""

    def put_token(self, token: Token, record: Record | None = None) -> None:
        """Add a token, or replace the one with the same id; with its record, or neither."""

    def remove_token(self, token_id: str, record: Record | None = None) -> bool:
        """Remove a token for good, with its record or neither; return False if there was none."""

    def note(self, record: Record) -> None:
        """Append a record to the audit; it gets the next number.

        Raises:
            StoreBusyError: it is not written.

        """

    def audit(self, limit: int, before: int | None = None) -> list[Record]:
        """Return the newest `limit` records, newest first; only those numbered below `before`."""

    def close(self) -> None:
        """Close files and connections."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A journal entry and its place among the entries of all endpoints."""

    place: int
    entry: Entry


class Outbox(Protocol):
    """The journals of all endpoints as one sequence, for its followers.

    Entries are in commit order, so none appears before a place that has been read. The place each
    follower has passed is as durable as the journal. What all followers have passed may be deleted
    here, and everything if there is none: the journals have it.
    """

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """Set the followers; return the place each has passed.

        A new one begins at the journal's end; so does one that was not in the previous set.
        """

    def posted(self, after: int, limit: int) -> list[Posted]:
        """Return the first `limit` entries after a place. Costs no more than what it returns."""

    def passed(self, follower: str, place: int) -> None:
        """Save that a follower has passed a place. Ignored for one that does not follow."""

    def leave(self, follower: str) -> None:
        """Remove a follower; if it comes back, it begins at the journal's end."""


class Driver(Protocol):
    """Starts, stops and observes one kind of endpoint.

    Every method is idempotent and returns without waiting for the endpoint. Raises DriverError with
    a readable reason when the provider refuses or cannot be reached.
    """

    def observe(self, spec: Spec) -> Observed:
        """Return what exists now."""

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """Begin to start it, unless it exists. `until`, `version`: as in `keep`."""

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Set its deadline, which holds without a further call; a lower `version` is ignored."""

    def stop(self, spec: Spec) -> None:
        """Begin to stop it, or clear what a failed one left; `observe` then shows it.

        Where the provider does not permit it yet (an endpoint that is still being created), nothing
        changes, which `observe` shows too: the caller repeats it.
        """

    def owned(self) -> Iterable[str]:
        """Return the names of all endpoints this driver started that are not absent."""


class Log(Protocol):
    """The output of one endpoint from some line on. For one reader at a time."""

    def read(self) -> bytes:
        """Return the next piece, oldest first; empty if there is nothing new yet.

        Raises:
            DriverError: it cannot be read.

        """

    def close(self) -> None:
        """Close it."""


class Logs(Protocol):
    """The logs of the endpoints' output."""

    def open(self, name: str, lines: int, *, follow: bool) -> Log:
        """Return an endpoint's log from its last `lines` lines on; empty if it never printed.

        `follow`: the caller keeps reading what is printed later.

        Raises:
            DriverError: it cannot be read.
            LogsElsewhereError: it is kept elsewhere; names the place.

        """


class RequestCounts(Protocol):
    """The numbers of requests admitted to endpoints."""

    def of(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[Count] | None:
        """Return the slots of a period that have any, oldest first; None if unknown."""


class UsageCounts(Protocol):
    """What the answers of endpoints used, counted by the minute in which they ended.

    A period has whole minutes: from the one that contains its begin, without the one that contains
    its end, unless that is the present one. What is older than `request_counts.KEPT` has whole days
    (UTC) in the same way. Every method returns None where nothing is counted.
    """

    def used_by(self, name: str, begin: datetime, end: datetime) -> Mapping[str, Used] | None:
        """Return the usage of a period by the names of the tokens. Raises StoreBusyError."""

    def used_at(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[UsedAt] | None:
        """Return the slots of a period that have any, oldest first; none as old as that.

        Raises:
            StoreBusyError: it cannot be read now.

        """

    def since(self) -> datetime | None:
        """Return the time from which usage is counted. Raises StoreBusyError."""


class RequestBook(Protocol):
    """Durable counts of requests, kept for `request_counts.KEPT`, and of their usage, kept."""

    def add(
        self, minute: datetime, counts: Mapping[str, int], used: Mapping[tuple[str, str], Used]
    ) -> None:
        """Add to the counts of a minute, and to its usage by endpoint and name of the token.

        Raises:
            StoreBusyError: nothing was added.

        """

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> Sequence[Count]:
        """Return the slots as `RequestCounts.of`. Raises StoreBusyError."""

    def used_by(self, name: str, begin: datetime, end: datetime) -> Mapping[str, Used]:
        """Return the usage of the minutes that begin in a period, by the names of the tokens.

        Raises:
            StoreBusyError: it cannot be read now.

        """

    def used_at(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[UsedAt]:
        """Return that usage by slots that have any, oldest first. Raises StoreBusyError."""

    def since(self) -> datetime:
        """Return when the store began to keep usage. Raises StoreBusyError."""


class Clock(Protocol):
    """The time, and the schedule of reconciles."""

    def now(self) -> datetime:
        """Return wall time, UTC."""

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Have `name` reconciled at `at`, at once if None; from any thread, never blocks."""


class UnrecordedEjects(Protocol):
    """Ejects that were carried out and that the store could not record yet.

    They outlive the process where anything can be written at all, so that a restart meanwhile does
    not start the endpoint again.
    """

    def put(self, entry: Entry) -> None:
        """Keep the journal entry that an eject will have; in memory at least."""

    def of(self, name: str) -> Entry | None:
        """Return the entry of an endpoint's eject that is still to be recorded, or None."""

    def recorded(self, name: str) -> None:
        """Drop the entry of an endpoint: the store has it, or needs it no longer."""


class Gate(Protocol):
    """The gate of the data plane: views of the meters, and the requests in flight."""

    def show(self, view: View) -> None:
        """Replace the view of a meter; one of a lower version is ignored."""

    def in_flight(self, name: str) -> int | None:
        """Return the number of requests in flight; None where that is not known."""

    def last_prompt(self, name: str) -> datetime | None:
        """Return when the last prompt was answered; now if one is in flight.

        Before the first one: since when they are counted; None where they are not. Requests that
        only read about a model are in flight but no prompts: they are no use of it.
        """


class Notifier(Protocol):
    """Gets every journal entry right after its commit, once, from the process that committed it."""

    def send(self, entry: Entry) -> None:
        """Take one entry without delay: the meter waits. An exception is logged."""
