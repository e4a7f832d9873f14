"""Connections to model servers, kept alive between requests.

The pool opens, lends and closes connections; it knows nothing of the requests on them.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from urllib.parse import urlsplit

from parkmeter.errors import UpstreamError
from parkmeter.proxy.answer_heads import AnswerHeads
from parkmeter.proxy.answer_parser import State
from parkmeter.proxy.upstream_connection import UpstreamConnection

IDLE_SECONDS = 4.0
"""Shorter than the 5 s after which uvicorn (vLLM) and llama.cpp close an idle connection: where the
server closes first, a request sent at that moment is lost."""
IDLE_LIMIT = 256
"""Per address. Of more prompts in flight than this, the rest open a connection each time."""
_IDLE = State.IDLE
_NONE: deque[UpstreamConnection] = deque(maxlen=0)


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a model server; `authority` is its Host header, and its key here."""

    host: str
    port: int
    authority: bytes


@lru_cache(maxsize=1024)
def address_of(text: str) -> Address:
    """Return the address in `http://host:port` or `host:port`.

    Raises:
        UpstreamError: it is neither.

    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
        raise UpstreamError("The model server's address is not one the gateway can use.")
    return Address(parts.hostname, port or 80, parts.netloc.rpartition("@")[2].encode())


class UpstreamPool:
    """Lends connections, the most recently used first. For one event loop.

    At most `idle_limit` connections per address are kept for another request, for about
    `idle_seconds`. `opened` counts the connections ever opened. `heads`: heads of
    answers that are known; None has every byte of connections that are opened from then on parsed.
    """

    def __init__(self, *, idle_limit: int = IDLE_LIMIT, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_limit = idle_limit
        self._idle_seconds = idle_seconds
        self._idle: dict[bytes, deque[UpstreamConnection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self.opened = 0
        self.heads: AnswerHeads | None = AnswerHeads()

    def reuse(self, address: Address) -> UpstreamConnection | None:
        """Return an idle connection to this address that is still usable, or None."""
        idle = self._idle.get(address.authority)
        if not idle:
            return None
        oldest = monotonic() - self._idle_seconds
        while idle:
            connection = idle.pop()
            if connection.idle_since > oldest and connection.state is _IDLE:
                return connection
            connection.abort()
        return None

    async def open(self, address: Address) -> UpstreamConnection:
        """Open a connection. Waits as long as the system does: the caller sets the limit.

        Raises:
            UpstreamError: it is refused, or the address cannot be reached.

        """
        loop = asyncio.get_running_loop()
        connection = UpstreamConnection(self.heads)
        try:
            await loop.create_connection(lambda: connection, address.host, address.port)
        except asyncio.CancelledError:
            connection.abort()  # it may have been made at the moment of the cancellation
            raise
        except ConnectionRefusedError as error:
            raise UpstreamError("The model server refuses connections.") from error
        except OSError as error:
            raise UpstreamError("The model server cannot be reached.") from error
        self.opened += 1
        return connection

    def give_back(self, address: Address, connection: UpstreamConnection) -> None:
        """Keep a connection for another request if it can be reused; close it otherwise."""
        idle = self._idle.get(address.authority, _NONE)
        if len(idle) >= self._idle_limit or not connection.recycle():
            connection.abort()
            return
        if idle is _NONE:  # not before: an entry without a connection is never swept
            idle = self._idle[address.authority] = deque()
        connection.idle_since = monotonic()
        idle.append(connection)
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(self._idle_seconds, self._sweep)

    def close(self) -> None:
        """Close all idle connections and keep none from now on; others end when given back."""
        self._idle_limit = 0
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    def _sweep(self) -> None:
        """Close connections idle too long; runs only while there are idle ones."""
        loop = asyncio.get_running_loop()
        oldest = monotonic() - self._idle_seconds
        for authority, idle in list(self._idle.items()):
            while idle and (idle[0].idle_since <= oldest or idle[0].state is not _IDLE):
                idle.popleft().abort()
            if not idle:
                del self._idle[authority]
        self._sweeper = None
        if self._idle:
            self._sweeper = loop.call_later(self._idle_seconds / 2, self._sweep)
