"""The watch over the state folder: removed or replaced, the gateway takes no change and ends.

What is written into a removed file is lost, and a second gateway may start on a folder that was
made again. So the store takes nothing more, and the gateway gives way; its servers are ended by
their leashes where the folder is gone, and adopted by the next gateway where only the lock is.
"""

import logging
from collections.abc import Callable

from parkmeter.errors import StoreBusyError
from parkmeter.state_folder import StateFolder
from parkmeter.stores.store_faults import StateLostError

log = logging.getLogger(__name__)


class StateGuard:
    """Compares the folder, its lock and its store with those that this gateway has opened.

    `refuse` makes the store take no more changes; `stop` ends the gateway. `lost`: why it ended,
    empty as long as all is in place.
    """

    def __init__(
        self,
        folder: StateFolder,
        refuse: Callable[[type[StoreBusyError], str], None],
        stop: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._refuse = refuse
        self._stop = stop
        self.lost = ""

    def check(self) -> None:
        """Look once; for the clock's thread."""
        try:
            missing = self._folder.missing()
        except OSError as error:  # a network folder that does not answer now
            log.warning("the state folder cannot be looked at: %s", error)
            return
        if missing is None:
            return
        if not self.lost:
            self.lost = f"{missing} was removed or replaced while the gateway ran"
            self._refuse(StateLostError, self.lost)
        self._stop()
