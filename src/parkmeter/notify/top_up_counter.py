"""The notifier that counts top-ups for the metrics."""

import threading
from collections import defaultdict
from datetime import timedelta

from parkmeter.core.journal import Entry, Kind
from parkmeter.ports import Notifier


class TopUpCounter:
    """Implements `ports.Notifier`: passes every entry on and counts top-ups since it was created.

    Everything that puts bought time on a meter counts, including the first provisioning; credits do
    not.
    """

    def __init__(self, *next_notifiers: Notifier) -> None:
        self._next = next_notifiers
        self._lock = threading.Lock()
        self._top_ups: defaultdict[str, int] = defaultdict(int)
        self._time: defaultdict[str, timedelta] = defaultdict(timedelta)

    def send(self, entry: Entry) -> None:
        """Count a top-up and pass the entry on; see `ports.Notifier`."""
        if entry.kind is Kind.TOP_UP:
            with self._lock:
                self._top_ups[entry.endpoint] += 1
                self._time[entry.endpoint] += entry.amount
        for notifier in self._next:
            notifier.send(entry)

    def bought(self, name: str) -> tuple[int, timedelta]:
        """Return the number of an endpoint's top-ups and the time they added."""
        with self._lock:
            return self._top_ups[name], self._time[name]
