"""Refused tokens: counted, logged in samples, and slowed down for a peer that goes on guessing.

Pure but for the log. A request with a valid token never comes here.
"""

import logging
from collections import OrderedDict

from parkmeter.web.peers import peer_key

log = logging.getLogger(__name__)

_FREE = 10
"""Refusals of a peer without a delay: a person with an old token, a script in a loop."""

_FORGIVEN_EVERY = 6.0
"""Seconds after which one refusal is forgotten: ten a minute are free."""

_LONGEST_DELAY = 5.0
_PEERS = 4096
"""Peers that are remembered; of more, the one that was quiet for longest is forgotten."""

_LOG_EVERY = 5.0
"""Seconds between two lines: guessing must not fill the disk."""


class RefusedTokens:
    """Refusals by peer. For one event loop; `now` is a time in seconds that only goes on.

    `total` counts them all since the start.
    """

    def __init__(self) -> None:
        self.total = 0
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._logged_at = float("-inf")
        self._unlogged = 0

    def refuse(self, peer: str, now: float) -> float:
        """Count a refusal; return the seconds by which its answer is to be delayed."""
        self.total += 1
        key = peer_key(peer)
        count, at = self._peers.pop(key, (0.0, now))
        count = max(0.0, count - (now - at) / _FORGIVEN_EVERY) + 1
        self._peers[key] = min(count, _FREE + _LONGEST_DELAY), now
        if len(self._peers) > _PEERS:
            self._peers.popitem(last=False)
        self._log(key, now)
        return min(max(0.0, count - _FREE), _LONGEST_DELAY)

    def _log(self, peer: str, now: float) -> None:
        self._unlogged += 1
        if now < self._logged_at + _LOG_EVERY:
            return
        more = self._unlogged - 1
        others = f" ({more} more since the last such line)" if more else ""
        log.warning("refused a token from %s%s", peer or "an unknown peer", others)
        self._logged_at, self._unlogged = now, 0
