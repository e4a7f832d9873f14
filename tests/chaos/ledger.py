"""The ledger of one run: what clients were promised, what they were answered, what was broken."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from parkmeter.core.journal import Entry, Kind

UPSTREAM = frozenset({"upstream_unreachable", "upstream_timeout", "model_failed"})
"""Codes of an answer that reports a failure of the model server."""

STATE = frozenset({"not_serving"})
"""Codes of an answer that reports the state of an endpoint: it starts, or has failed."""

AFTER = 15.0
"""Seconds after a fault in which the gateway may still say that it cannot do something now."""

LOST, LATE, ORPHAN, OWN_5XX, FALSE_ANSWER, UNDELIVERED, DIED, UNRECOVERED = PROMISES = (
    "acknowledged minutes lost",
    "endpoints past expiry",
    "orphans",
    "5xx of our own",
    "answers false or passed off as whole",
    "changes that did not reach the leash",
    "gateway ended by itself",
    "not recovered",
)

TOLERANCE = timedelta(seconds=0.05)


@dataclass(frozen=True)
class Promise:
    """A top-up that was acknowledged."""

    endpoint: str
    key: str
    minutes: float
    during: str


@dataclass
class Ledger:
    """Everything that is counted; used by all threads."""

    promises: list[Promise] = field(default_factory=list)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[tuple[str, str, str]] = field(default_factory=list)
    """Promise, fault in progress, details."""
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    during: str = "calm"
    """The last fault that began."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._over_at: float | None = 0.0
        self._lost: set[str] = set()

    def fault_begins(self, name: str) -> None:
        with self._lock:
            self.during, self._over_at = name, None

    def fault_ends(self) -> None:
        with self._lock:
            self._over_at = time.monotonic()

    def recovered(self, name: str, seconds: float) -> None:
        with self._lock:
            self.recoveries.setdefault(name, []).append(seconds)

    def breaks(self, promise: str, details: str, during: str | None = None) -> None:
        with self._lock:
            self.broken.append((promise, during or self.during, details))

    def acknowledged(self, endpoint: str, key: str, minutes: float) -> None:
        with self._lock:
            self.promises.append(Promise(endpoint, key, minutes, self.during))

    def answered(self, request: str, status: int, code: str = "", body: bytes = b"") -> None:
        """Count one answer. A 5xx that is neither an upstream's nor plain talk is a broken promise.

        Connections that are refused or cut are no answers; they are counted as `no answer` by
        `unanswered`.
        """
        shown = f"{status} {code}".strip()
        with self._lock:
            self.answers[request, shown] += 1
            troubled = self._over_at is None or time.monotonic() < self._over_at + AFTER
        if status < 500 or code in UPSTREAM or code in STATE:
            return
        if status == 503 and code and troubled:
            return
        self.breaks(OWN_5XX, f"{request}: {shown} {body[:200]!r}")

    def unanswered(self, request: str) -> None:
        with self._lock:
            self.answers[request, "no answer"] += 1

    # ── Against the journal ──────────────────────────────────────────────────────────────────────

    def check(self, read: Callable[[], dict[str, list[Entry]]]) -> None:
        """Compare the promises with the journals; each is complete and in its order."""
        with self._lock:
            promises = list(self.promises)  # first: what is acknowledged later may be read later
        journals = read()
        self._check_replay(journals)
        known = {
            (endpoint, entry.key.partition(":")[2]): entry
            for endpoint, entries in journals.items()
            for entry in entries
            if entry.kind is Kind.TOP_UP
        }
        for promise in promises:
            entry = known.get((promise.endpoint, promise.key))
            if entry is None:
                self._lose(promise.key, f"{promise} is in no journal", promise.during)
            elif abs(entry.amount - timedelta(minutes=promise.minutes)) > TOLERANCE:
                self._lose(promise.key, f"{promise} is {entry.amount}", promise.during)

    def _check_replay(self, journals: dict[str, list[Entry]]) -> None:
        """Replay each journal: a top-up on an open meter counts from its expiry.

        Not while the clock shows a time that it has shown before: then the time that is bought, not
        the hour, bounds the meter.
        """
        for entries in journals.values():
            latest = entries[0].at
            for before, entry in pairs(entries):
                latest = max(latest, entry.at)
                base = entry.expires_at - entry.amount
                short = base < before.expires_at - TOLERANCE and entry.at == latest
                if entry.kind is Kind.TOP_UP and short:
                    self._lose(entry.key, f"{entry} counts from {base}, after {before}", None)
            keys = Counter(entry.key for entry in entries)
            for key in (key for key, times in keys.items() if times > 1):
                self._lose(key, f"{key} is journaled twice", None)

    def _lose(self, key: str, details: str, during: str | None) -> None:
        if key not in self._lost:
            self._lost.add(key)
            self.breaks(LOST, details, during)


def pairs(entries: Iterable[Entry]) -> Iterable[tuple[Entry, Entry]]:
    """Yield every entry with the one before it."""
    before: Entry | None = None
    for entry in entries:
        if before is not None:
            yield before, entry
        before = entry
