"""The usual duration of a start, as the data plane has it at hand for every refusal."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from parkmeter.core.journal import Entry, Kind
from parkmeter.errors import StoreBusyError
from parkmeter.ports import Notifier
from parkmeter.service.run_stats import Entries, usual_start_in


class UsualStarts:
    """Implements `ports.Notifier`: passes every entry on, and looks again after each start.

    `known`: by endpoint; may be read from any thread.
    """

    def __init__(self, journal: Entries, *next_notifiers: Notifier) -> None:
        self.known: dict[str, timedelta] = {}
        self._journal = journal
        self._next = next_notifiers

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        for notifier in self._next:
            notifier.send(entry)
        if entry.kind is Kind.READY:
            self._learn(entry.endpoint)

    def configure(self, names: Iterable[str]) -> None:
        """Read the journals of those endpoints whose starts are not known yet."""
        for name in names:
            if name not in self.known:
                with suppress(StoreBusyError):  # an estimate is no reason to refuse a configuration
                    self._learn(name)

    def _learn(self, name: str) -> None:
        usual = usual_start_in(self._journal, name)
        if usual is not None:
            self.known[name] = usual
