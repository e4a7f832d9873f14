"""EventBridge: events matched against the deployed rules; schedules fire on `tick` only.

Knows the patterns that our templates use, equality and prefix, and raises on any other.
"""

import contextlib
import json
import logging
import queue
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from unittest import mock

from moto.ssm.models import SimpleSystemManagerBackend

from simulator.cloudformation.stacks import Resource, Stacks
from simulator.lambda_runtime.functions import UnknownFunctionError
from simulator.sagemaker.account import ACCOUNT, REGION

_LOG = logging.getLogger(__name__)

Event = dict[str, Any]
Start = Callable[[str, bytes], None]
MayInvoke = Callable[[str, str], bool]
"""Returns whether a rule (its ARN) may invoke a function."""


@dataclass
class EventFaults:
    """The share of events (0 to 1) that are lost, come twice, or come at the next tick only.

    EventBridge delivers at least once, in no order, and gives up after a time.
    """

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def deliveries(self) -> tuple[int, int]:
        """Return how often an event comes now, and how often at the next tick."""
        if self.chance.random() < self.lost:
            return 0, 0
        copies = 2 if self.chance.random() < self.doubled else 1
        return (0, copies) if self.chance.random() < self.late else (copies, 0)


class EventBus:
    """The default bus. Calls `start(target, payload)` for each target, in the order of events.

    `faults`: none by default. `listeners` get every event too, rule or not, in the bus's thread.
    """

    def __init__(self, stacks: Stacks, start: Start, may_invoke: MayInvoke) -> None:
        self.faults = EventFaults()
        self._late: list[Event] = []
        self._stacks = stacks
        self._may_invoke = may_invoke
        self._start = start
        self.listeners: list[Callable[[Event], None]] = []
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name="events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def tick(self) -> int:
        """Fire every schedule once; return the number of targets."""
        late, self._late = self._late, []
        for event in late:
            self._queue.put(event)
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        scheduled = new_event("aws.events", "Scheduled Event", {}, time=when)
        return sum(
            self._start_targets(rule, scheduled)
            for rule in self._rules()
            if rule.properties.get("ScheduleExpression")
        )

    def put(self, event: Event) -> None:
        """Queue an event. Does not wait; may be called with any lock held."""
        now, later = self.faults.deliveries()
        for _ in range(now):
            self._queue.put(event)
        self._late += [event] * later

    @contextlib.contextmanager
    def parameter_changes(self) -> Iterator[None]:
        """Publish changes of the parameter store while entered."""
        backend, events = SimpleSystemManagerBackend, self
        put, delete, delete_all = (
            getattr(backend, name)
            for name in ("put_parameter", "delete_parameter", "delete_parameters")
        )

        def changed(store: Any, name: str, operation: str) -> None:
            if store.account_id == ACCOUNT:
                detail = {"name": name, "operation": operation, "type": "String"}
                events.put(new_event("aws.ssm", "Parameter Store Change", detail))

        def put_parameter(store: Any, name: str, *args: Any, **options: Any) -> Any:
            known = name in store._parameters
            version = put(store, name, *args, **options)
            changed(store, name, "Update" if known else "Create")
            return version

        def delete_parameter(store: Any, name: str) -> None:
            delete(store, name)
            changed(store, name, "Delete")

        def delete_parameters(store: Any, names: list[str]) -> list[str]:
            deleted = delete_all(store, names)
            for name in deleted:
                changed(store, name, "Delete")
            return deleted

        with (
            mock.patch.object(backend, "put_parameter", put_parameter),
            mock.patch.object(backend, "delete_parameter", delete_parameter),
            mock.patch.object(backend, "delete_parameters", delete_parameters),
        ):
            yield

    def _deliver(self) -> None:
        while (event := self._queue.get()) is not None:
            for listener in self.listeners:
                listener(event)
            for rule in self._rules():
                pattern = rule.properties.get("EventPattern")
                if pattern and matches(pattern, event):
                    self._start_targets(rule, event)

    def _start_targets(self, rule: Resource, event: Event) -> int:
        targets = rule.properties["Targets"]
        arn = rule.created.get_cfn_attribute("Arn")
        for target in targets:
            if not self._may_invoke(arn, target["Arn"]):
                _LOG.warning("%s may not invoke %s", arn, target["Arn"])
                continue
            payload = target["Input"].encode() if "Input" in target else json.dumps(event).encode()
            # A destroyed function may go before its rule.
            with contextlib.suppress(UnknownFunctionError):
                self._start(target["Arn"], payload)
        return len(targets)

    def _rules(self) -> list[Resource]:
        return [
            resource
            for resource in self._stacks.all()
            if resource.kind == "AWS::Events::Rule"
            and resource.properties.get("State") != "DISABLED"
        ]


def new_event(source: str, detail_type: str, detail: dict[str, Any], time: str = "") -> Event:
    """Return an event in EventBridge's envelope."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": time or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def matches(pattern: Any, event: Any) -> bool:
    """Return whether an event matches a pattern.

    Raises:
        NotImplementedError: the pattern uses an operator that is not simulated.

    """
    if isinstance(pattern, dict):
        return isinstance(event, dict) and all(
            name in event and matches(expected, event[name]) for name, expected in pattern.items()
        )
    return any(_value_matches(expected, event) for expected in pattern)


def _value_matches(expected: Any, value: Any) -> bool:
    match expected:
        case {"prefix": str(prefix)}:
            return isinstance(value, str) and value.startswith(prefix)
        case dict():
            raise NotImplementedError(f"event pattern {expected}")
        case _:
            return expected == value
