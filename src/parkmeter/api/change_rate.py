"""The rate of changes that one token may make: a bucket, refilled steadily.

Every change is a journal entry that is kept for good, also one that adds a second.
"""

import math
import time
from collections.abc import Callable

from parkmeter.errors import ParkmeterError

_MOST_BUCKETS = 10_000
"""Full ones are forgotten beyond this; a revoked token leaves one behind."""


class TooManyChangesError(ParkmeterError):
    """Raised when a token changes meters faster than it may; nothing was changed."""

    code = "too_many_changes"
    title = "Too many changes with this token"
    text = (
        "This token may make {burst} changes at once and {per_second:g} a second from then on. "
        "Nothing was changed. Add more minutes at a time, or send this request again in "
        "{retry_after_seconds} s."
    )

    def __init__(self, *, burst: int, per_second: float, seconds: int) -> None:
        super().__init__(burst=burst, per_second=per_second, retry_after_seconds=seconds)
        self.retry_after = seconds


class ChangeRate:
    """The buckets of all tokens. For one event loop.

    `limits` returns the burst and the refill per second in force; `ticks` is a monotonic clock.
    """

    def __init__(
        self,
        limits: Callable[[], tuple[int, float]],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._ticks = ticks
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, token_id: str, kind: str = "change") -> None:
        """Count a change of this kind. Raises TooManyChangesError if the bucket is empty."""
        burst, per_second = self._limits()
        now = self._ticks()
        left, at = self._buckets.get((token_id, kind), (float(burst), now))
        left = min(float(burst), left + (now - at) * per_second)
        if left < 1:
            seconds = math.ceil((1 - left) / per_second)
            raise TooManyChangesError(burst=burst, per_second=per_second, seconds=seconds)
        if len(self._buckets) >= _MOST_BUCKETS:
            self._forget_full(burst, per_second, now)
        self._buckets[token_id, kind] = (left - 1, now)

    def _forget_full(self, burst: int, per_second: float, now: float) -> None:
        self._buckets = {
            key: (left, at)
            for key, (left, at) in self._buckets.items()
            if left + (now - at) * per_second < burst
        }
