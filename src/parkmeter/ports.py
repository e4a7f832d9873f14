"""What the core needs from the world: each port with the contract every adapter keeps.

One contract suite per port runs over every adapter (`tests/contract`). Knows only the pure modules.
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
    """Raised by `Store.commit` when the meter, or who holds its device, is not as it was read."""


class DuplicateError(Exception):
    """Raised by `Store.commit` when an entry's key is in the journal already; carries it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.key)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Budget:
    """Minutes a token may add on one day (UTC); counted in the very transaction that adds them."""

    token_id: str
    day: date
    minutes: float
    limit: float


class Store(Protocol):
    """Keeps meters, journal and tokens. Safe from any thread and, where shared, any process."""

    def load(self, name: str) -> Meter:
        """The meter; one never seen is closed, settled and of version 0."""

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """The meters of these names, as `load` gives each, in one query; in the order of `names`.

        Each is as of its own moment: together they are no snapshot.
        """

    def unsettled(self) -> Iterable[str]:
        """Names of all meters that are not settled, in no order; of late changes it may not know.

        Names only: one meter that cannot be read must not hide the others.
        """

    def holder(self, device: str) -> str | None:
        """Whose meter held this device last, or holds it now; None if none ever did."""

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """Write meter and entries, all or nothing, at the version that was read; returns it anew.

        The returned meter's version is higher by one. Entries get the next numbers of their
        endpoint, in order. A key that is older than `KEY_LIFETIME` (by the entries' own times) may
        come again. With a claim the meter holds its device from now on.

        Raises:
            StaleError: the meter changed since it was read, or what the claim says is not so.
            DuplicateError: an entry's key is in the journal already. Tested before the version,
                so that a repeated request always finds its first answer.
            OverBudgetError: the budget does not suffice.
            StoreBusyError: the store cannot be written now.

        """

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """The entry with this key made after `since`, if there is one."""

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """The newest `limit` entries, newest first; with `before` those of a lower number."""

    def tokens(self) -> list[Token]:
        """Every token, oldest first."""

    def put_token(self, token: Token) -> None:
        """Add a token, or replace the one with the same id."""

    def remove_token(self, token_id: str) -> bool:
        """Remove a token for good; False if there was none."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A line of some endpoint's journal, and its place among the lines of all of them."""

    place: int
    entry: Entry


class Outbox(Protocol):
    """The journals of all endpoints as one, for those who tell others of it.

    Lines are in the order in which they were committed, so none appears behind a place that has
    been read. How far each follower got is kept as durably as the journal. What all of them have
    passed may be forgotten here, and with no follower everything: the journals have it.
    """

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """These follow from now on, and no others: the place each has passed.

        A new one begins at the journal's end; so does one that comes back.
        """

    def posted(self, after: int, limit: int) -> list[Posted]:
        """The first `limit` lines behind a place. Costs what it returns, however many there are."""

    def passed(self, follower: str, place: int) -> None:
        """This follower needs nothing up to this place any more. Who does not follow is ignored."""

    def leave(self, follower: str) -> None:
        """This one follows no more; should it come back, it begins at the journal's end."""


class Driver(Protocol):
    """Starts, stops and sees one kind of endpoint.

    Every method is idempotent and returns without waiting for the endpoint. Raises DriverError with
    a reason for people when the provider refuses or cannot be reached.
    """

    def observe(self, spec: Spec) -> Observed:
        """What is there now."""

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """Begin to start it; does nothing if one is there. `until`, `version`: as in `keep`."""

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Let it live until `until` even if nobody calls again; a lower `version` is ignored."""

    def stop(self, spec: Spec) -> None:
        """Begin to stop it, or clear what a failed one left; afterwards `observe` says so.

        Where the provider does not permit it yet (an endpoint that is still being made), nothing
        has changed and `observe` goes on saying what it is: to be asked for again.
        """

    def owned(self) -> Iterable[str]:
        """Names of all endpoints this driver started that are not absent."""


class Log(Protocol):
    """What one endpoint printed, being read from some line on. For one reader at a time."""

    def read(self) -> bytes:
        """The next piece, oldest first; empty: nothing more was printed yet.

        Raises:
            DriverError: it cannot be read.

        """

    def close(self) -> None:
        """Let go of it."""


class Logs(Protocol):
    """Where what endpoints print is kept."""

    def open(self, name: str, lines: int, *, follow: bool) -> Log:
        """The log of an endpoint, from its last `lines` lines on; empty if it never printed.

        `follow`: it will be read on, for what is printed later.

        Raises:
            DriverError: it cannot be read.
            LogsElsewhereError: it is not kept here; names where.

        """


class RequestCounts(Protocol):
    """Knows how many requests were let in to endpoints."""

    def of(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[Count] | None:
        """The slots of a period that brought any, oldest first; None where nobody knows."""


class RequestBook(Protocol):
    """Keeps `request_counts.KEPT` of them, whatever becomes of the gateway."""

    def add(self, minute: datetime, counts: Mapping[str, int]) -> None:
        """Put down what a minute brought, besides what it brought before.

        Raises:
            StoreBusyError: nothing was put down.

        """

    def of(self, name: str, begin: datetime, end: datetime, slot: timedelta) -> Sequence[Count]:
        """As `RequestCounts.of`. Raises StoreBusyError."""


class Clock(Protocol):
    """What time it is, and who calls reconcile."""

    def now(self) -> datetime:
        """Wall time, UTC."""

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Have `name` reconciled at `at`, at once if None; from any thread, never blocks."""


@dataclass(frozen=True, slots=True)
class View:
    """What the data plane may know of a meter.

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
        """The view of a meter as committed."""
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
    """What the data plane asks: is it open, where is it, how much is in flight."""

    def show(self, view: View) -> None:
        """Take a newer view; one of a lower version than the present one is ignored."""

    def in_flight(self, name: str) -> int | None:
        """Requests being answered right now; None where that cannot be seen."""

    def last_prompt(self, name: str) -> datetime | None:
        """When the last prompt had its answer, now if one is being answered.

        Before the first one: since when they are seen; None where they cannot be. Requests that
        only look at a model are in flight and no prompts: nobody means to use it by them.
        """


class Notifier(Protocol):
    """Is told every line of the journal right after its commit, once, by who committed it."""

    def send(self, entry: Entry) -> None:
        """Take note of one entry, at once: the meter waits. What is raised is logged."""
