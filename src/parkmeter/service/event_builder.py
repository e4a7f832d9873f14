"""Events made of journal entries.

The money spent, the name of who ejected and earlier attempts are read from the journal up to that
entry, so an entry always gives the same event, however late and often it is delivered.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from decimal import Decimal

from parkmeter.core.events import EVENTS, Event, Extension, already_published
from parkmeter.core.extend_link import link_of, offer_for
from parkmeter.core.journal import SYSTEM, Entry, Kind, is_close_warning
from parkmeter.core.journal_reader import lived_before
from parkmeter.core.meter import EJECTED, Spec
from parkmeter.core.receipt import cost_of_times
from parkmeter.ports import Store

_LOOK_BACK = 100
"""Entries before the given one. Attempts of one run are close together."""

_ENDS = frozenset({Kind.EJECT, Kind.EDIT})
"""The kinds of entries that close a meter early."""


@dataclass(frozen=True, slots=True)
class EventBuilder:
    """Makes events of entries of these `kinds`; `extend` gives the link of a warning."""

    store: Store
    extend: Callable[[Entry], Extension | None] = lambda _: None
    kinds: Collection[Kind] = EVENTS

    def event(self, entry: Entry) -> Event | None:
        """Return the event for this entry, or None if it is not published."""
        if entry.kind not in self.kinds or self._is_repeated(entry):
            return None
        extension = self.extend(entry) if is_close_warning(entry) else None
        published = replace(entry, why=self._why(entry))
        return Event.of(published, self._spent(entry), extension)

    def _is_repeated(self, entry: Entry) -> bool:
        if entry.kind not in {Kind.START, Kind.FAILURE}:
            return False
        earlier = self.store.journal(entry.endpoint, _LOOK_BACK, entry.number)
        return already_published(entry, earlier)

    def _why(self, entry: Entry) -> str:
        """Return the reason; for a stop by an eject or edit, with the name of who made it.

        The entry has no name: all tokens may read it, but only admins who did what.
        """
        if entry.kind is not Kind.STOP or not entry.why.startswith(EJECTED):
            return entry.why
        earlier = self.store.journal(entry.endpoint, _LOOK_BACK, entry.number)
        who = next((line.who for line in earlier if line.kind in _ENDS), SYSTEM)
        return entry.why if who == SYSTEM else entry.why.replace(EJECTED, f"{EJECTED} by {who}", 1)

    def _spent(self, entry: Entry) -> Decimal | None:
        """Return dollars since the last stop; None if unknown or nothing was started since."""
        lived = lived_before(self.store, entry).lived
        return None if lived is None else cost_of_times(lived)


def extension_of(warning: Entry, spec: Spec, address: str, secret: bytes) -> Extension:
    """Return the link of a warning, below the public address of this deployment."""
    offer = offer_for(warning, spec)
    minutes = offer.amount.total_seconds() / 60
    return Extension(f"{address}/extend/{link_of(offer, secret)}", minutes)
