"""EventBridge: the rules that are deployed, told of what happens; its minute is wound by hand.

Knows the patterns that our templates use (equality and prefix) and refuses to guess at others.
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


class Events:
    """The default bus. Targets are started by `start`, in the order in which events came."""

    def __init__(self, stacks: Stacks, start: Start) -> None:
        self._stacks = stacks
        self._start = start
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name="events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def tick(self) -> int:
        """Let the time of every schedule come; how many targets there were."""
        when = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        told = event("aws.events", "Scheduled Event", {}, time=when)
        return sum(
            self._tell(rule, told) for rule in self._rules() if rule.get("ScheduleExpression")
        )

    def put(self, told: Event) -> None:
        """Something has happened. Does not wait, and may be called with any lock held."""
        self._queue.put(told)

    @contextlib.contextmanager
    def of_parameters(self) -> Iterator[None]:
        """While this lasts, changes in the parameter store are events."""
        backend, events = SimpleSystemManagerBackend, self
        put, delete, delete_all = (
            getattr(backend, name)
            for name in ("put_parameter", "delete_parameter", "delete_parameters")
        )

        def changed(store: Any, name: str, operation: str) -> None:
            if store.account_id == ACCOUNT:
                detail = {"name": name, "operation": operation, "type": "String"}
                events.put(event("aws.ssm", "Parameter Store Change", detail))

        def put_parameter(store: Any, name: str, *args: Any, **more: Any) -> Any:
            known = name in store._parameters
            version = put(store, name, *args, **more)
            changed(store, name, "Update" if known else "Create")
            return version

        def delete_parameter(store: Any, name: str) -> None:
            delete(store, name)
            changed(store, name, "Delete")

        def delete_parameters(store: Any, names: list[str]) -> list[str]:
            gone = delete_all(store, names)
            for name in gone:
                changed(store, name, "Delete")
            return gone

        with (
            mock.patch.object(backend, "put_parameter", put_parameter),
            mock.patch.object(backend, "delete_parameter", delete_parameter),
            mock.patch.object(backend, "delete_parameters", delete_parameters),
        ):
            yield

    def _deliver(self) -> None:
        while (told := self._queue.get()) is not None:
            for rule in self._rules():
                pattern = rule.get("EventPattern")
                if pattern and matches(pattern, told):
                    self._tell(rule, told)

    def _tell(self, rule: dict[str, Any], told: Event) -> int:
        for target in rule["Targets"]:
            payload = target["Input"].encode() if "Input" in target else json.dumps(told).encode()
            # Its function may be gone a moment before it.
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


def event(source: str, detail_type: str, detail: dict[str, Any], time: str = "") -> Event:
    """An event as EventBridge makes them."""
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


def matches(pattern: Any, told: Any) -> bool:
    """Whether an event is what a pattern asks for.

    Raises:
        NotImplementedError: the pattern asks for something that is not known here.

    """
    if isinstance(pattern, dict):
        return isinstance(told, dict) and all(
            name in told and matches(wanted, told[name]) for name, wanted in pattern.items()
        )
    return any(_fits(wanted, told) for wanted in pattern)


def _fits(wanted: Any, value: Any) -> bool:
    match wanted:
        case {"prefix": str(prefix)}:
            return isinstance(value, str) and value.startswith(prefix)
        case dict():
            raise NotImplementedError(f"event pattern {wanted}")
        case _:
            return wanted == value
