"""Counts the top-ups that the journal got, for the metrics, and passes every entry on."""

import threading
from collections import defaultdict
from datetime import timedelta

from parkmeter.core.journal import Entry, Kind
from parkmeter.ports import Notifier


class Tally:
    """Implements `ports.Notifier` in front of others; counts since it was made.

    Everything that puts bought time on a meter counts, the first provisioning too; credits do not.
    """

    def __init__(self, *following: Notifier) -> None:
        self._following = following
        self._lock = threading.Lock()
        self._top_ups: defaultdict[str, int] = defaultdict(int)
        self._time: defaultdict[str, timedelta] = defaultdict(timedelta)

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        if entry.kind is Kind.TOP_UP:
            with self._lock:
                self._top_ups[entry.endpoint] += 1
                self._time[entry.endpoint] += entry.amount
        for notifier in self._following:
            notifier.send(entry)

    def bought(self, name: str) -> tuple[int, timedelta]:
        """How many top-ups an endpoint got, and how much time they added."""
        with self._lock:
            return self._top_ups[name], self._time[name]
