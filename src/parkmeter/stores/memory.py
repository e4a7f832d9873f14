"""The store in memory, for tests and demos, with the full behaviour of a store."""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime

from parkmeter.core.audit import Record
from parkmeter.core.device import Claim
from parkmeter.core.journal import KEY_LIFETIME, Entry
from parkmeter.core.ledger import Mark, PricedRun, is_due, next_mark
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Token
from parkmeter.errors import OverBudgetError
from parkmeter.ports import Budget, DuplicateError, Posted, StaleError


class MemoryStore:
    """Implements `ports.Store` and `ports.Outbox` for one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: dict[str, Meter] = {}
        self._journal: defaultdict[str, list[Entry]] = defaultdict(list)
        self._marks: defaultdict[str, list[Mark]] = defaultdict(list)
        self._keys: dict[tuple[str, str], Entry] = {}
        self._spent: defaultdict[tuple[str, date], float] = defaultdict(float)
        self._tokens: dict[str, Token] = {}
        self._holders: dict[str, str] = {}
        self._posted: list[Posted] = []
        self._followers: dict[str, int] = {}
        self._audit: list[Record] = []

    def load(self, name: str) -> Meter:
        """See `ports.Store`."""
        with self._lock:
            return self._meters.get(name) or Meter(name)

    def meters(self, names: Collection[str]) -> dict[str, Meter]:
        """See `ports.Store`."""
        with self._lock:
            return {name: self._meters.get(name) or Meter(name) for name in names}

    def holder(self, device: str) -> str | None:
        """See `ports.Store`."""
        with self._lock:
            return self._holders.get(device)

    def unsettled(self) -> Iterable[str]:
        """See `ports.Store`."""
        with self._lock:
            return [meter.name for meter in self._meters.values() if not meter.settled]

    def commit(
        self,
        meter: Meter,
        entries: Sequence[Entry],
        budget: Budget | None = None,
        claim: Claim | None = None,
    ) -> Meter:
        """See `ports.Store`."""
        with self._lock:
            for entry in entries:
                known = self._keys.get((entry.endpoint, entry.key))
                if known is not None and known.at > entry.at - KEY_LIFETIME:
                    raise DuplicateError(known)
            if self._version(meter.name) != meter.version or not self._claim_holds(
                claim, meter.name
            ):
                raise StaleError(meter.name)
            if budget is not None:
                spent = self._spent[budget.token_id, budget.day]
                if spent + budget.minutes > budget.limit:
                    raise OverBudgetError(
                        limit_minutes=budget.limit, left_minutes=max(0.0, budget.limit - spent)
                    )
                self._spent[budget.token_id, budget.day] = spent + budget.minutes
            committed = replace(meter, version=meter.version + 1)
            self._meters[meter.name] = committed
            if claim is not None:
                self._holders[claim.device] = meter.name
            for entry in entries:
                lines = self._journal[entry.endpoint]
                numbered = replace(entry, number=len(lines) + 1)
                lines.append(numbered)
                self._keys[entry.endpoint, entry.key] = numbered
                self._posted.append(Posted(len(self._posted) + 1, numbered))
                self._mark_after(numbered)
            return committed

    def entry(self, name: str, key: str, since: datetime) -> Entry | None:
        """See `ports.Store`."""
        with self._lock:
            known = self._keys.get((name, key))
            return known if known is not None and known.at > since else None

    def journal(self, name: str, limit: int, before: int | None = None) -> list[Entry]:
        """See `ports.Store`."""
        with self._lock:
            lines = self._journal.get(name, [])
            upto = len(lines) if before is None else max(0, min(len(lines), before - 1))
            return lines[max(0, upto - limit) : upto][::-1]

    def marks(self, name: str, moment: datetime | None) -> tuple[Mark | None, Mark | None]:
        """See `ports.Store`."""
        with self._lock:
            marks = self._marks[name]
            place = bisect_left(marks, moment, key=lambda mark: mark.at) if moment else len(marks)
            before = marks[place - 1] if place else None
            return before, marks[place] if place < len(marks) else None

    def past_runs(self, name: str, begin: datetime, end: datetime) -> list[PricedRun]:
        """See `ports.Store`."""
        with self._lock:
            marks = [mark for mark in self._marks[name] if begin <= mark.at < end]
        return [run for mark in marks for run in mark.runs]

    def add_marks(self, name: str, marks: Sequence[Mark], last: int) -> bool:
        """See `ports.Store`."""
        with self._lock:
            if len(self._journal[name]) != last:
                return False
            known = {(mark.at, mark.number): mark for mark in (*self._marks[name], *marks)}
            self._marks[name] = [known[key] for key in sorted(known)]
            return True

    def follow(self, followers: Collection[str]) -> dict[str, int]:
        """See `ports.Outbox`."""
        with self._lock:
            end = len(self._posted)
            self._followers = {name: self._followers.get(name, end) for name in followers}
            return dict(self._followers)

    def posted(self, after: int, limit: int) -> list[Posted]:
        """See `ports.Outbox`."""
        with self._lock:
            return self._posted[after : after + limit]

    def passed(self, follower: str, place: int) -> None:
        """See `ports.Outbox`."""
        with self._lock:
            if follower in self._followers:
                self._followers[follower] = place

    def leave(self, follower: str) -> None:
        """See `ports.Outbox`."""
        with self._lock:
            self._followers.pop(follower, None)

    def tokens(self) -> list[Token]:
        """See `ports.Store`."""
        with self._lock:
            return sorted(self._tokens.values(), key=lambda token: token.created_at)

    def put_token(self, token: Token, record: Record | None = None) -> None:
        """See `ports.Store`."""
        with self._lock:
            self._tokens[token.id] = token
            self._append(record)

    def remove_token(self, token_id: str, record: Record | None = None) -> bool:
        """See `ports.Store`."""
        with self._lock:
            if self._tokens.pop(token_id, None) is None:
                return False
            self._append(record)
            return True

    def note(self, record: Record) -> None:
        """See `ports.Store`."""
        with self._lock:
            self._append(record)

    def audit(self, limit: int, before: int | None = None) -> list[Record]:
        """See `ports.Store`."""
        with self._lock:
            upto = len(self._audit) if before is None else max(0, before - 1)
            return self._audit[:upto][::-1][:limit]

    def close(self) -> None:
        """See `ports.Store`: there are none."""

    # ── Under the lock ──────────────────────────────────────────────────────────────────────────

    def _append(self, record: Record | None) -> None:
        if record is not None:
            self._audit.append(replace(record, number=len(self._audit) + 1))

    def _mark_after(self, entry: Entry) -> None:
        """Keep the marks in step with an entry that was added."""
        name = entry.endpoint
        marks = [mark for mark in self._marks[name] if mark.at <= entry.at or mark.lasting]
        newest = marks[-1] if marks else None
        if is_due(entry.number, newest):
            lines = self._journal[name][newest.number if newest is not None else 0 :]
            mark = next_mark(newest, lines)
            marks += [] if mark is None else [mark]
        self._marks[name] = marks

    def _version(self, name: str) -> int:
        present = self._meters.get(name)
        return present.version if present else 0

    def _claim_holds(self, claim: Claim | None, name: str) -> bool:
        """Return whether the device of a claim is held as the claim states."""
        if claim is None:
            return True
        if self._holders.get(claim.device) != claim.held_by:
            return False
        return claim.held_by in (None, name) or self._version(claim.held_by) == claim.version


class MemoryEjects:
    """Implements `ports.UnrecordedEjects` for as long as this process lives."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def put(self, entry: Entry) -> None:
        """See `ports.UnrecordedEjects`."""
        self._entries[entry.endpoint] = entry

    def of(self, name: str) -> Entry | None:
        """See `ports.UnrecordedEjects`."""
        return self._entries.get(name)

    def recorded(self, name: str) -> None:
        """See `ports.UnrecordedEjects`."""
        self._entries.pop(name, None)
