"""What passed through the data plane, counted. Plain numbers of one event loop; knows no HTTP.

Counting is on the way of every prompt, so it may cost no more than a microsecond: no locks, no
labels, nothing allocated. `metrics` reads the numbers, on the same loop.
"""

from bisect import bisect_left
from collections import defaultdict
from enum import StrEnum

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds; upper edges of the histograms' buckets, from a small model to the longest patience."""


class Outcome(StrEnum):
    """What became of a request, where no status tells it."""

    GONE = "gone"
    """The client left before its answer was complete."""
    BROKEN = "broken"
    """The answer had begun and broke off."""


class Histogram:
    """How many observations fell into each bucket, and their sum; the last bucket has no edge."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


class Traffic:
    """The requests of one endpoint since the gateway began.

    `let_in` counts those that went on to the model, as they go; everything else is counted at the
    end, of requests that were refused too, with a token or without. `statuses` counts answers by
    the first digit of their status. Durations are of what the model answered to its end, in seconds
    from the moment it was let through: waiting for an endpoint to start says nothing of the model.
    """

    __slots__ = ("broken", "first_byte", "gone", "let_in", "statuses", "whole")

    def __init__(self) -> None:
        self.let_in = 0
        self.statuses = [0] * 10
        self.gone = 0
        self.broken = 0
        self.first_byte = Histogram()
        self.whole = Histogram()

    def answered(self, status: int, first_byte: float, whole: float) -> None:
        """Count an answer of the model's."""
        self.statuses[status // 100] += 1
        histogram = self.first_byte
        histogram.buckets[bisect_left(BOUNDS, first_byte)] += 1
        histogram.total += first_byte
        histogram = self.whole
        histogram.buckets[bisect_left(BOUNDS, whole)] += 1
        histogram.total += whole

    def refused(self, status: int) -> None:
        """Count an answer of the gateway's own."""
        self.statuses[status // 100] += 1

    def requests(self) -> dict[str, int]:
        """How many requests came to which end."""
        classes = {f"{digit}xx": self.statuses[digit] for digit in range(2, 6)}
        return {**classes, Outcome.GONE: self.gone, Outcome.BROKEN: self.broken}


class TrafficByEndpoint(defaultdict[str, Traffic]):
    """The traffic of each endpoint by its name; outlives a change of the routes."""

    def __init__(self) -> None:
        super().__init__(Traffic)
