"""From a line of the journal to the event that others are told, if they are told of it at all.

What was spent, who ejected, and whether an attempt was told before, is read from the journal up to
that line: so the same line gives the same event, however late and however often it is delivered.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from decimal import Decimal

from parkmeter.core.events import EVENTS, Event, Extension, told_already
from parkmeter.core.extend_link import link_of, offer_for
from parkmeter.core.journal import SYSTEM, Entry, Kind, is_close_warning
from parkmeter.core.journal_reader import lines_of
from parkmeter.core.meter import EJECTED, Spec
from parkmeter.core.receipt import receipt
from parkmeter.core.timeline import lives
from parkmeter.ports import Store

_LOOK_BACK = 100
"""Lines before a start or a failure. Attempts of one run stand close together."""

_ENDS = frozenset({Kind.EJECT, Kind.EDIT})
"""What somebody closes a meter early with."""


@dataclass(frozen=True, slots=True)
class EventBuilder:
    """Makes events, of lines of these `kinds`. `extend`: the link of a warning."""

    store: Store
    extend: Callable[[Entry], Extension | None] = lambda _: None
    kinds: Collection[Kind] = EVENTS

    def event(self, entry: Entry) -> Event | None:
        """What to tell of this line; None if it is nothing that others are told of."""
        if entry.kind not in self.kinds or self._told_already(entry):
            return None
        extension = self.extend(entry) if is_close_warning(entry) else None
        told = replace(entry, why=self._why(entry))
        return Event.of(told, self._spent(entry), extension)

    def _told_already(self, entry: Entry) -> bool:
        if entry.kind not in {Kind.START, Kind.FAILURE}:
            return False
        earlier = self.store.journal(entry.endpoint, _LOOK_BACK, entry.number)
        return told_already(entry, earlier)

    def _why(self, entry: Entry) -> str:
        """As the line says; of an end that somebody wanted, also who, which the line has not.

        Everybody may read how a meter's endpoint ended, and only admins who did what.
        """
        if entry.kind is not Kind.STOP or not entry.why.startswith(EJECTED):
            return entry.why
        earlier = self.store.journal(entry.endpoint, _LOOK_BACK, entry.number)
        who = next((line.who for line in earlier if line.kind in _ENDS), SYSTEM)
        return entry.why if who == SYSTEM else entry.why.replace(EJECTED, f"{EJECTED} by {who}", 1)

    def _spent(self, entry: Entry) -> Decimal | None:
        """Dollars since it was last stopped; None if unknown, or if nothing was started since."""
        lines = lines_of(self.store, entry.endpoint, entry.at, entry.at)
        lines = [line for line in lines if line.number <= entry.number]
        lived = lives(lines)
        if not lived or lived[0].started > entry.at:
            return None
        begin, price = lived[0].started, entry.price_per_hour
        return receipt(lines, entry.endpoint, price, begin, entry.at).cost


def extension_of(warning: Entry, spec: Spec, address: str, secret: bytes) -> Extension:
    """The link of a warning, below the address at which people reach this deployment."""
    offer = offer_for(warning, spec)
    minutes = offer.amount.total_seconds() / 60
    return Extension(f"{address}/extend/{link_of(offer, secret)}", minutes)
