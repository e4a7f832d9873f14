"""What calls to AWS cost in wound time: the network, the processor, and patience when refused."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from tests.support.scale.threads import WoundThreads

ATTEMPTS = 3
"""As the clock's clients are configured (`PATIENCE`)."""


@dataclass
class Quota:
    """So many calls a second, and as many saved up. Operations may share one."""

    a_second: float
    left: float = -1.0
    at: float = 0.0

    def grants(self, seconds: float) -> bool:
        saved = self.a_second if self.left < 0 else self.left
        self.left = min(self.a_second, saved + (seconds - self.at) * self.a_second)
        self.at = seconds
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass
class Processor:
    """Of one function's environment; Python uses one core at most. `share`: of that core."""

    share: float
    free_at: float = 0.0
    used: float = 0.0

    def takes(self, seconds: float, now: float) -> float:
        """How long this work takes from now on, waiting for its turn included."""
        self.used += seconds
        self.free_at = max(now, self.free_at) + seconds / self.share
        return self.free_at - now


@dataclass
class Toll:
    """Taken at each call. `latency` and `processing` are seconds a call; `calls` counts all tries
    that were granted, `throttled` those that were not."""

    threads: WoundThreads
    processor: Processor
    latency: float = 0.020
    processing: float = 0.0015
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(5))

    def pay(self, operation: str) -> None:
        for attempt in range(ATTEMPTS):
            busy = self.processor.takes(self.processing, self.threads.seconds)
            self.threads.sleep(busy + self.latency)
            quota = self.quotas.get(operation)
            if quota is None or quota.grants(self.threads.seconds):
                self.calls[operation] += 1
                return
            self.throttled[operation] += 1
            if attempt < ATTEMPTS - 1:
                self.threads.sleep(self.chance.random() * 2**attempt)  # botocore's standard mode
        said = {"Code": "ThrottlingException", "Message": "Rate exceeded"}
        raise ClientError({"Error": said}, operation)
