"""All client connections of one gateway: how many there may be, and which one ends for another.

Every connection takes a descriptor, and a gateway without one can neither answer nor move a
deadline. It may not know HTTP, meters or model servers.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from parkmeter.web.peers import peer_key

log = logging.getLogger(__name__)

_GRACE_SECONDS = 5.0
"""A stranger younger than this is not closed for another if an idle connection with a token can be:
its first request, perhaps with a token, is on its way. Unless strangers have more than half of all
connections: then they come too fast to be waited for."""

_KNOWN = 7 / 8
"""Part of all places that known connections can have: requests with one valid token that never end
would lock out all others, an eject too."""

_LOG_EVERY = 10.0
"""Seconds between two lines about connections that were closed for others."""


class Connection(Protocol):
    """A client's connection, as the limits see it.

    `address` is the TCP peer. `ends_at`: time of the loop at which it ends if nothing comes;
    infinite while an answer is being made.
    """

    address: str
    made_at: float

    @property
    def active(self) -> bool:
        """True while a request is being answered."""

    @property
    def ends_at(self) -> float:
        """See the class."""

    def drop(self) -> None:
        """End at once."""


class Connections:
    """Counts connections; ends an idle one where a limit is reached. For one event loop.

    A connection on which no valid token has come is a stranger; only strangers count for the limit
    per peer, and `exempt` addresses (trusted proxies, which have many clients) never do. `most` and
    `most_per_peer` may be changed at any time. `closed` counts those closed for others, `refused`
    those that found no place.
    """

    def __init__(
        self,
        most: float = float("inf"),
        most_per_peer: float = float("inf"),
        exempt: Callable[[str], bool] = lambda _address: False,
    ) -> None:
        self.most = most
        self.most_per_peer = most_per_peer
        self.exempt = exempt
        self.closed = self.refused = 0
        # Dictionaries for their order: the oldest comes first.
        self._strangers: dict[Connection, str] = {}
        """The connection's peer; empty if it does not count for one."""
        self._by_peer: dict[str, dict[Connection, None]] = {}
        self._known: dict[Connection, None] = {}
        self._logged_at = float("-inf")
        self._unlogged = 0

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    @property
    def strangers(self) -> int:
        """The number of connections on which no valid token has come."""
        return len(self._strangers)

    def add(self, connection: Connection) -> bool:
        """Take in a new connection; False if there is no place for it and none can be made."""
        now = connection.made_at
        peer = "" if self.exempt(connection.address) else peer_key(connection.address)
        of_peer = self._by_peer.get(peer) if peer else None
        if of_peer is not None and len(of_peer) >= self.most_per_peer:
            self._close(_first_idle(of_peer) or next(iter(of_peer)), now)
        if len(self) >= self.most:
            victim = self._victim(now)
            if victim is None:
                self.refused += 1
                self._log("refused", connection.address, now)
                return False
            self._close(victim, now)
        self._strangers[connection] = peer
        if peer:
            self._by_peer.setdefault(peer, {})[connection] = None
        return True

    def recognize(self, connection: Connection) -> None:
        """Take note that a valid token came: it is no stranger from now on.

        Unless known ones have all the places they can have: then it may be ended for another.
        """
        if connection in self._strangers and len(self._known) < self.most * _KNOWN:
            self.remove(connection)
            self._known[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended; harmless twice."""
        self._known.pop(connection, None)
        peer = self._strangers.pop(connection, "")
        if peer:
            of_peer = self._by_peer[peer]
            del of_peer[connection]
            if not of_peer:
                del self._by_peer[peer]

    def _victim(self, now: float) -> Connection | None:
        """Return the connection that may best be ended; None if each has a valid request."""
        stranger = _first_idle(self._strangers) or next(iter(self._strangers), None)
        if stranger is not None and (
            stranger.made_at <= now - _GRACE_SECONDS or len(self._strangers) > self.most / 2
        ):
            return stranger
        known = min(
            (one for one in self._known if not one.active),
            key=lambda one: one.ends_at,
            default=None,
        )
        return known or stranger

    def _close(self, connection: Connection, now: float) -> None:
        self.closed += 1
        self._log("closed", connection.address, now)
        self.remove(connection)
        connection.drop()

    def _log(self, done: str, address: str, now: float) -> None:
        self._unlogged += 1
        if now < self._logged_at + _LOG_EVERY:
            return
        more = self._unlogged - 1
        others = f" ({more} more since the last such line)" if more else ""
        log.warning(
            "a connection of %s was %s%s: %d of at most %g are open, at most %g without a valid "
            "token for one peer",
            address or "an unknown peer",
            done,
            others,
            len(self),
            self.most,
            self.most_per_peer,
        )
        self._logged_at, self._unlogged = now, 0


def _first_idle(connections: Iterable[Connection]) -> Connection | None:
    return next((one for one in connections if not one.active), None)
