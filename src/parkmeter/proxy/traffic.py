"""Counts of the requests of the data plane. Plain numbers of one event loop; knows no HTTP.

Counting is on the way of every prompt, so it may cost a microsecond at most: no locks, no
labels, nothing allocated. `gateway.metrics` reads the numbers, on the same loop.
"""

from bisect import bisect_left
from collections import defaultdict
from enum import StrEnum
from time import perf_counter

from parkmeter.core.usage import Used
from parkmeter.proxy.answer_reader import AnswerReader

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds; upper edges of histograms' buckets, from a small model to the longest timeout."""

RATES = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0)
"""Tokens a second; upper edges of that histogram's buckets."""

MOST_NAMES = 100
"""Holders of tokens whose usage is counted by name, for one endpoint: each is a series of metrics
for as long as the gateway runs."""

OTHERS = "(others)"
"""The name under which all further ones are counted."""

TOO_MANY = 429
"""Status of a request that finds no place."""


class Outcome(StrEnum):
    """Outcome of a request that has no status."""

    GONE = "gone"
    """The client left before its answer was complete."""
    BROKEN = "broken"
    """The answer had begun and broke off."""


class Histogram:
    """Number of observations in each bucket, and their sum; the last bucket has no edge."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count an observation."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


class UsageCount:
    """What the answers to one token used, since the gateway started; see `core.usage.Used`."""

    __slots__ = ("answers", "input", "output", "unknown")

    def __init__(self) -> None:
        self.answers = self.unknown = self.input = self.output = 0

    def used(self) -> Used:
        """Return the numbers as they are now."""
        return Used(self.answers, self.unknown, self.input, self.output)


class Traffic:
    """The requests of one endpoint since the gateway started.

    `admitted` counts requests when they get their permit; everything else is counted at the end,
    refused requests included, with a token or without. `statuses` counts answers by the first digit
    of their status; `limited` those refused for want of a place. Durations are of complete answers
    of the model, in seconds from the permit: waiting for an endpoint to start says nothing of the
    model. `first_event`: from the permit to the first event of a stream. `usage` is by the name of
    the token, and so is bounded; `rate`: output tokens of an answer by the second from its permit.
    """

    __slots__ = (
        "admitted",
        "broken",
        "first_byte",
        "first_event",
        "gone",
        "limited",
        "rate",
        "statuses",
        "usage",
        "whole",
    )

    def __init__(self) -> None:
        self.admitted = 0
        self.statuses = [0] * 10
        self.gone = 0
        self.broken = 0
        self.limited = 0
        self.first_byte = Histogram()
        self.whole = Histogram()
        self.first_event = Histogram()
        self.rate = Histogram(RATES)
        self.usage: dict[str, UsageCount] = {}

    def answered(self, status: int, first_byte: float, whole: float) -> None:
        """Count an answer of the model."""
        self.statuses[status // 100] += 1
        histogram = self.first_byte
        bucket = bisect_left(BOUNDS, first_byte)
        histogram.buckets[bucket] += 1
        histogram.total += first_byte
        histogram = self.whole
        histogram.buckets[bisect_left(BOUNDS, whole, bucket)] += 1
        histogram.total += whole

    def refused(self, status: int) -> None:
        """Count an answer of the gateway itself."""
        self.statuses[status // 100] += 1
        if status == TOO_MANY:
            self.limited += 1

    def used(self, who: str, reader: AnswerReader, admitted_at: float) -> None:
        """Count what an answer to the token of this name used, which is over now."""
        count = self.usage.get(who)
        if count is None:
            if len(self.usage) >= MOST_NAMES:
                who = OTHERS
            count = self.usage.setdefault(who, UsageCount())
        if (first_at := reader.first_at) is not None:
            self.first_event.observe(first_at - admitted_at)
        taken, made = reader.usage()
        if taken is None or made is None:
            count.unknown += 1
            return
        count.answers += 1
        count.input += taken
        count.output += made
        if made and (seconds := perf_counter() - admitted_at) > 0:
            self.rate.observe(made / seconds)

    def requests(self) -> dict[str, int]:
        """Return the number of requests by outcome."""
        classes = {f"{digit}xx": self.statuses[digit] for digit in range(2, 6)}
        return {**classes, Outcome.GONE: self.gone, Outcome.BROKEN: self.broken}


class TrafficByEndpoint(defaultdict[str, Traffic]):
    """The traffic of each endpoint by name; outlives a change of the routes."""

    def __init__(self) -> None:
        super().__init__(Traffic)
