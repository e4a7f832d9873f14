"""The client's connection, as one of its requests sees it: a port. Knows nothing else."""

from typing import Protocol

from parkmeter.proxy.lazy_timer import LazyTimer
from parkmeter.web.auth import CachedToken


class ClientSide(Protocol):
    """What a request may do to the connection it came on.

    `alarm` is the active request's; `holder` is whoever asked before on this connection.
    """

    alarm: LazyTimer
    holder: CachedToken

    def write(self, data: bytes) -> None:
        """Send."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def answered(self, *, keep: bool) -> None:
        """The answer is complete; without `keep` the connection ends with it."""

    def cut(self, *, at_once: bool) -> None:
        """End the connection, so that nobody takes half an answer for a whole one.

        `at_once`, what was not sent yet is thrown away.
        """
