"""The client's connection, as one of its requests sees it."""

from typing import Protocol

from parkmeter.proxy.lazy_timer import LazyTimer
from parkmeter.web.auth import CachedToken


class ClientSide(Protocol):
    """The client's connection, as one of its requests sees it.

    `timer` belongs to the active request; `cached_token` to the connection.
    """

    timer: LazyTimer
    cached_token: CachedToken

    def write(self, data: bytes) -> None:
        """Send."""

    def pause(self) -> None:
        """Stop reading for now."""

    def resume(self) -> None:
        """Read on."""

    def answered(self, *, keep: bool) -> None:
        """Take note that the answer is complete; without `keep` the connection ends with it."""

    def disconnect(self, *, at_once: bool) -> None:
        """End the connection, so that half an answer cannot be taken for a whole one.

        `at_once` discards what was not sent yet.
        """
