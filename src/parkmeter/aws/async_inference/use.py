"""The use of async endpoints: the time of their instances, for receipts. Knows no route."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from parkmeter.aws.cloudwatch_counts import CloudWatchCounts
from parkmeter.aws.definitions import Definition
from parkmeter.core.meter import UNKNOWN
from parkmeter.core.receipt import QueueUse
from parkmeter.core.request_counts import slot_of


class QueueUses:
    """The use of the queues of some endpoints. `minutes`: counts of instance-minutes."""

    def __init__(self, minutes: CloudWatchCounts, definitions: Mapping[str, Definition]) -> None:
        self._minutes = minutes
        self._definitions = definitions

    def of(self, name: str, begin: datetime, end: datetime, now: datetime) -> QueueUse | None:
        """Return the use from `begin` to `end`; None if there was none, or it cannot be read."""
        definition = self._definitions[name]
        if definition.queue is None or begin >= end:
            return None
        counts = self._minutes.of(name, begin, end, slot_of(begin, end, now))
        if not counts:
            return None
        first = definition.spec.prices.get(definition.spec.variants[0], UNKNOWN).per_hour
        return QueueUse(
            timedelta(minutes=sum(one.count for one in counts)),
            None if first is None else first / definition.instance_count,
        )
