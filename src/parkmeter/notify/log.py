"""The notifier that writes journal entries to the log."""

import logging
from datetime import timedelta

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.time_text import utc

log = logging.getLogger("parkmeter.journal")

_MINUTE = timedelta(minutes=1)


class LogNotifier:
    """Implements `ports.Notifier`: one line per entry; failures and warnings at WARNING."""

    def send(self, entry: Entry) -> None:
        """Log one entry; see `ports.Notifier`."""
        loud = entry.kind in (Kind.FAILURE, Kind.WARNING, Kind.CLOCK)
        added = f"{round(entry.amount / _MINUTE, 2):+g} min " if entry.amount else ""
        log.log(
            logging.WARNING if loud else logging.INFO,
            "%s %s by %s: %s; expires %s",
            entry.endpoint,
            entry.kind,
            entry.who,
            f"{added}{entry.why}".rstrip(),
            utc(entry.expires_at),
        )
