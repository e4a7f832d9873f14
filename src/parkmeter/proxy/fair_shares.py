"""Fair shares of an endpoint's places in flight. Pure: time is an argument, seconds of any clock.

A holder (a token) that is alone may take every place. As soon as another one asks, a holder over
its share gets no further place until the other has had its turn. It may not know requests.
"""

PATIENCE_SECONDS = 3.0
"""For which places are kept for a holder that was refused, so that it finds one when it comes back;
a client that was asked to wait a second comes within that time, or not at all."""


class FairShares:
    """The places taken by each holder; the share of one is the limit by the number of holders.

    A place is refused where none is free, and to a holder at its share while another below its
    share was refused within `PATIENCE_SECONDS`. Each call takes the same time, whatever the number
    of holders and places. `taken`: places taken in all.
    """

    __slots__ = ("_refused", "_taken", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self._taken: dict[str, int] = {}
        """Of each holder, those that were refused lately among them."""
        self._refused: dict[str, float] = {}
        """Times of the last refusals, the oldest first."""

    def allows(self, holder: str, limit: int, now: float) -> bool:
        """Return whether the holder would get a place now."""
        self._forget(now)
        if self.taken >= limit:
            return False
        return self._below_share(holder, limit) or self._refused.keys() <= {holder}

    def take(self, holder: str, limit: int, now: float) -> bool:
        """Take a place; return False if the holder gets none."""
        if self.allows(holder, limit, now):
            self.taken += 1
            self._taken[holder] = self._taken.get(holder, 0) + 1
            self._refused.pop(holder, None)
            return True
        # One at its share claims nothing more, or two of them would keep each other out.
        if self._below_share(holder, limit):
            self._refused.pop(holder, None)
            self._refused[holder] = now
            self._taken.setdefault(holder, 0)
        return False

    def give_back(self, holder: str) -> None:
        """Give a taken place back."""
        self.taken -= 1
        self._taken[holder] -= 1
        self._drop(holder)

    def _below_share(self, holder: str, limit: int) -> bool:
        holders = len(self._taken) + (holder not in self._taken)
        return self._taken.get(holder, 0) * holders < limit

    def _forget(self, now: float) -> None:
        """Forget refusals of holders that did not come back."""
        while self._refused:
            holder, at = next(iter(self._refused.items()))
            if now < at + PATIENCE_SECONDS:
                return
            del self._refused[holder]
            self._drop(holder)

    def _drop(self, holder: str) -> None:
        if not self._taken[holder] and holder not in self._refused:
            del self._taken[holder]
