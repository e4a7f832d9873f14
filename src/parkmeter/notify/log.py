"""Tells the log what the journal says."""

import logging

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.time_text import utc

log = logging.getLogger("parkmeter.journal")


class LogNotifier:
    """Implements `ports.Notifier`: one line an entry; failures and warnings stand out."""

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        loud = entry.kind in (Kind.FAILURE, Kind.WARNING, Kind.CLOCK)
        log.log(
            logging.WARNING if loud else logging.INFO,
            "%s %s by %s: %s; expires %s",
            entry.endpoint,
            entry.kind,
            entry.who,
            entry.why,
            utc(entry.expires_at),
        )
