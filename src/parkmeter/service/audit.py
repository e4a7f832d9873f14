"""The audit's use cases: note an act, list the acts, follow the ejects of the journal.

Every record is also a line of JSON in the log stream `parkmeter.audit`, for systems that collect
logs. Only tokens are recorded in the transaction of their change; an act that is done is not undone
because its record could not be written: the log stream has it.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime

from parkmeter.core.audit import Action, Record
from parkmeter.core.journal import OPERATOR, SYSTEM, Entry, Kind
from parkmeter.core.time_text import iso
from parkmeter.errors import ParkmeterError
from parkmeter.ports import Notifier, Store
from parkmeter.service.changes import Actor

log = logging.getLogger(__name__)
stream = logging.getLogger("parkmeter.audit")

BY_HAND = Actor("", OPERATOR)
"""The actor of what is done on the machine itself, without a token."""

BY_ITSELF = Actor("", SYSTEM)
"""The actor of what the gateway does of its own."""


class Audit:
    """The audit of one deployment; from any thread."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self.now = now

    def record(self, action: Action, by: Actor, what: str, subject: str = "") -> Record:
        """Return a record of now, not written yet."""
        return Record(self.now(), action, by.name, what, by.id, subject)

    def note(self, action: Action, by: Actor, what: str, subject: str = "") -> None:
        """Write a record and log it; a store that cannot take it is logged too, nothing raised."""
        made = self.record(action, by, what, subject)
        try:
            self._store.note(made)
        except ParkmeterError as error:
            log.error("the audit misses a record, it is in the log only: %s", error)  # noqa: TRY400
        announce(made)

    def records(self, limit: int, before: int | None = None) -> list[Record]:
        """Return the newest `limit` records, newest first; only those numbered below `before`."""
        return self._store.audit(limit, before)


class EjectAudit:
    """Implements `ports.Notifier`: notes each eject by a person, and passes every entry on."""

    def __init__(self, audit: Audit, *next_notifiers: Notifier) -> None:
        self._audit = audit
        self._next = next_notifiers

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        for notifier in self._next:
            notifier.send(entry)
        if entry.kind is Kind.EJECT and entry.who != SYSTEM:
            by = Actor("", entry.who)
            self._audit.note(Action.EJECTED, by, entry.why, entry.endpoint)


def announce(record: Record) -> None:
    """Write a record as one line of JSON to the log stream `parkmeter.audit`."""
    members = {
        "at": iso(record.at),
        "action": record.action,
        "by": record.who,
        "by_id": record.who_id,
        "subject": record.subject,
        "what": record.what,
    }
    stream.info("%s", json.dumps(members))
