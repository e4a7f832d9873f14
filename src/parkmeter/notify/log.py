"""The notifier that writes journal entries to the log."""

import logging

from parkmeter.core.journal import Entry, Kind

log = logging.getLogger("parkmeter.journal")


class LogNotifier:
    """Implements `ports.Notifier`: one line per entry; failures and warnings at WARNING."""

    def send(self, entry: Entry) -> None:
        """Log one entry; see `ports.Notifier`."""
        loud = entry.kind in (Kind.FAILURE, Kind.WARNING, Kind.CLOCK)
        log.log(
            logging.WARNING if loud else logging.INFO,
            "%s %s by %s: %s; expires %s UTC",
            entry.endpoint,
            entry.kind,
            entry.who,
            entry.why,
            entry.expires_at.strftime("%Y-%m-%d %H:%M:%S"),
        )
