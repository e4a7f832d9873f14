"""The Lambda behind `Custom::ParkmeterEndpoint`: an endpoint's first time, and its end.

Deployed, its meter gets the first minutes, once; deployed again, nothing changes; destroyed, the
endpoint is stopped before the stack goes on, so that nothing is left that costs money. Starts
nothing itself: it wakes the clock.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws import custom_resource
from parkmeter.aws.definitions import Found, KnownDefinitions
from parkmeter.aws.expiry_parameter import ExpiryParameters
from parkmeter.aws.wiring import PATIENCE, DistantClock, Environment, Ports, dynamodb, service_of
from parkmeter.errors import ConfigError, ParkmeterError, StoreBusyError, UnknownEndpointError
from parkmeter.service.meters import MeterService

log = logging.getLogger(__name__)

GIVE_UP_AFTER = timedelta(minutes=55)
"""CloudFormation waits an hour (`stacks/manager.py`)."""

_HAND_OVER_MILLISECONDS = 60_000
"""With so little left to live the function calls itself anew."""

RETRY_CREATE_FOR = timedelta(minutes=1)
_INITIAL = "InitialProvisionTimeMinutes"

_LONGEST_PAUSE = 5.0
"""Seconds."""

_SINCE = "ParkmeterSince"
"""In the event by which the function calls itself: since when it has been trying."""


class Context(Protocol):
    """What Lambda tells of an invocation."""

    def get_remaining_time_in_millis(self) -> int: ...  # noqa: D102


def handler(event: dict[str, Any], context: Context) -> None:
    """One request of CloudFormation; see `Lifecycle.handle`."""
    lifecycle().handle(event, context.get_remaining_time_in_millis)


@cache
def lifecycle() -> "Lifecycle":
    """The lifecycle of this function, from its environment."""
    environment = Environment.given()
    ssm = boto3.client("ssm", config=PATIENCE)
    functions = boto3.client("lambda", config=PATIENCE)
    itself = os.environ["AWS_LAMBDA_FUNCTION_NAME"]

    def again(event: Mapping[str, Any]) -> None:
        payload = json.dumps(event).encode()
        functions.invoke(FunctionName=itself, InvocationType="Event", Payload=payload)

    return Lifecycle(
        ports=Ports.of(environment, dynamodb(), DistantClock.of(environment)),
        find=KnownDefinitions(ssm, environment.endpoints_path).of,
        expiries=ExpiryParameters(ssm, environment.expiry_path),
        again=again,
    )


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Answers CloudFormation. `again` has another invocation go on with an event."""

    ports: Ports
    find: Callable[[Collection[str]], Found]
    expiries: ExpiryParameters
    again: Callable[[Mapping[str, Any]], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep

    def handle(self, event: Mapping[str, Any], remaining_milliseconds: Callable[[], int]) -> None:
        """Do what is asked and say so, whatever happens; an end may take another invocation."""
        name = event["ResourceProperties"]["Name"]
        try:
            if not self._done(event, name, remaining_milliseconds):
                return
        except Exception as error:
            log.exception("%s of %s failed", event["RequestType"], name)
            words = error.detail if isinstance(error, ParkmeterError) else "See its log"
            custom_resource.fail(event, name, f"{self._hosted(name)}: {words}")
        else:
            custom_resource.succeed(event, name)

    def _done(
        self, event: Mapping[str, Any], name: str, remaining_milliseconds: Callable[[], int]
    ) -> bool:
        match event["RequestType"]:
            case "Create":
                self._provision(name, event)
            case "Update" if event["OldResourceProperties"].get("Name") != name:
                # Another endpoint under the same logical name; CloudFormation removes the old one.
                self._provision(name, event)
            case "Delete":
                return self._ended(name, event, remaining_milliseconds)
        return True

    def _provision(self, name: str, event: Mapping[str, Any]) -> None:
        """Its first minutes. What the function was just allowed, not all of AWS may know yet."""
        initial = timedelta(minutes=float(event["ResourceProperties"][_INITIAL]))
        give_up = self.now() + RETRY_CREATE_FOR
        while True:
            try:
                found = self.find({name})
                if name not in found.definitions.keys() | found.broken:
                    raise ConfigError("it is not defined. Deploy its MeteredStack first.")
                # What an earlier deployment left would be taken for somebody's wish.
                self.expiries.withdraw(name)
                service_of(self.ports, found.definitions).provision(name, initial)
            except (BotoCoreError, ClientError, StoreBusyError, UnknownEndpointError):
                if self.now() >= give_up:
                    raise
                log.exception("%s could not be provisioned; it is tried again", name)
                self.pause(_LONGEST_PAUSE)
            else:
                self.ports.clock.wake(name)
                return

    # ── The end ──────────────────────────────────────────────────────────────────────────────────

    def _ended(
        self, name: str, event: Mapping[str, Any], remaining_milliseconds: Callable[[], int]
    ) -> bool:
        """Stop the endpoint and stay until it is gone; False if another invocation goes on."""
        since = datetime.fromisoformat(event.get(_SINCE) or self.now().isoformat())
        service: MeterService | None = None
        while True:
            again: datetime | None = None
            try:
                service = service or self._removed(name)
                again = service.reconcile(name)
                if self.ports.store.load(name).settled:
                    break
            except (BotoCoreError, ClientError, StoreBusyError):
                log.exception("%s could not be stopped; it is tried again", name)
            if self.now() - since >= GIVE_UP_AFTER:
                minutes = GIVE_UP_AFTER.total_seconds() / 60
                raise ParkmeterError(
                    f"it could not be stopped within {minutes:.0f} minutes. Delete this endpoint "
                    "in SageMaker's console, then delete the stack again."
                )
            if remaining_milliseconds() < _HAND_OVER_MILLISECONDS:
                self.again({**event, _SINCE: since.isoformat()})
                return False
            left = _LONGEST_PAUSE if again is None else (again - self.now()).total_seconds()
            self.pause(max(0.05, min(left, _LONGEST_PAUSE)))
        self._withdraw(name)
        self.ports.clock.wake(name)  # it mails, as long as it is there
        return True

    def _removed(self, name: str) -> MeterService:
        definitions = self.find({name}).definitions
        service = service_of(self.ports, definitions, [name])
        service.remove(name)
        self.ports.clock.wake(name)
        return service

    def _withdraw(self, name: str) -> None:
        try:
            self.expiries.withdraw(name)
        except (BotoCoreError, ClientError):
            # It costs nothing, and is no reason to keep a stack.
            log.exception("%s: its published expiry stays", name)

    def _hosted(self, name: str) -> str:
        return f"{self.ports.deployment}-{name}"


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # While the function is being made it has more of a processor than when it is asked.
    lifecycle()
