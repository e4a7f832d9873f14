"""EventBridge: events matched against the deployed rules; schedules fire on `tick` only.

Knows the patterns that our templates use, equality and prefix, and raises on any other.
"""

import contextlib
import json
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Self
from unittest import mock

from moto.ssm.models import SimpleSystemManagerBackend

from simulator.cloudformation.stacks import Stacks
from simulator.lambda_runtime.functions import UnknownFunctionError
from simulator.sagemaker.account import ACCOUNT, REGION

Event = dict[str, Any]
Start = Callable[[str, bytes], None]


class EventBus:
    """The default bus. Calls `start(target, payload)` for each target, in the order of events.

    `listeners` get every event too, rule or not, in the bus's thread.
    """

    def __init__(self, stacks: Stacks, start: Start) -> None:
        self._stacks = stacks
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
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        scheduled = new_event("aws.events", "Scheduled Event", {}, time=when)
        return sum(
            self._start_targets(rule, scheduled)
            for rule in self._rules()
            if rule.get("ScheduleExpression")
        )

    def put(self, event: Event) -> None:
        """Queue an event. Does not wait; may be called with any lock held."""
        self._queue.put(event)

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
                pattern = rule.get("EventPattern")
                if pattern and matches(pattern, event):
                    self._start_targets(rule, event)

    def _start_targets(self, rule: dict[str, Any], event: Event) -> int:
        for target in rule["Targets"]:
            payload = target["Input"].encode() if "Input" in target else json.dumps(event).encode()
            # A destroyed function may go before its rule.
            with contextlib.suppress(UnknownFunctionError):
                self._start(target["Arn"], payload)
        return len(rule["Targets"])

    def _rules(self) -> list[dict[str, Any]]:
        return [
            resource.properties
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
