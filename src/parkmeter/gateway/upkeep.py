"""The thread that keeps journals in order; see `service.journal_keeper`.

Its work is done in small pieces with longer pauses, so that a journal of a million lines, which an
older version wrote, is read beside prompts and changes that do not notice.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from parkmeter.service.journal_keeper import JournalKeeper
from parkmeter.stores.sqlite import SqliteStore

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_LINES = 1000
"""Read at once: some 30 ms."""

_PAUSE = 2.0
"""Times as long as the piece of work before it."""


class JournalUpkeep:
    """The upkeep of the journals of the endpoints that `names` returns.

    `kept`: the age at which lines may go; None: never. `now` reads the wall clock.
    """

    def __init__(
        self,
        store: SqliteStore,
        names: Callable[[], Iterable[str]],
        kept: Callable[[], timedelta | None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._keeper = JournalKeeper(store)
        self._names = names
        self._kept = kept
        self._now = now
        self._ending = threading.Event()
        # A daemon: it can be killed at any moment, as every step is a transaction.
        self._thread = threading.Thread(target=self._run, name="journals", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, within: float = 1.0) -> None:
        """Stop after the current step, or go on without waiting for it."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(within)

    def _run(self) -> None:
        while not self._ending.is_set():
            for name in tuple(self._names()):
                try:
                    self._keep(name)
                except Exception:
                    log.exception("%s: its journal could not be kept in order", name)
            self._ending.wait(_EVERY_SECONDS)

    def _keep(self, name: str) -> None:
        begun = time.monotonic()
        while self._keeper.tend(name, _LINES) and not self._ending.is_set():
            self._ending.wait(_PAUSE * (time.monotonic() - begun))
            begun = time.monotonic()
        kept = self._kept()
        if kept is not None and not self._ending.is_set():
            gone = self._keeper.shorten(self._store, name, kept, self._now())
            if gone:
                log.info("%s: %d old lines of its journal are gone, their sums stay", name, gone)
