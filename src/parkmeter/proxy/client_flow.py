"""The flow of bytes on a client's connection: whether it is read, whether it takes more."""

import asyncio
from collections.abc import Callable


class ClientFlow:
    """Reads on only when no request waits behind another.

    `read_paused`: nothing is read. `write_paused`: the client does not take what is written.
    """

    __slots__ = ("_transport", "_waits", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport, waits: Callable[[], bool]) -> None:
        self.read_paused = self.write_paused = False
        self._transport = transport
        self._waits = waits

    def pause_reading(self) -> None:
        """Stop reading for now."""
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless a request waits."""
        if self.read_paused and not self._waits():
            self.read_paused = False
            self._transport.resume_reading()
