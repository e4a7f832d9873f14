"""The Lambda behind `Custom::ParkmeterEndpoint`: provisioning and removal of an endpoint.

The first deployment gives the meter its initial minutes; a later one changes nothing; a destroy
stops the endpoint before the stack continues, so that nothing is left that costs money. It starts
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
"""CloudFormation waits one hour (`stacks/manager.py`)."""

_HAND_OVER_MILLISECONDS = 60_000
"""With less time left than this the function continues in a new invocation."""

RETRY_CREATE_FOR = timedelta(minutes=1)
_INITIAL = "InitialProvisionTimeMinutes"

_SHORTEST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=50), timedelta(seconds=5)

_SINCE = "ParkmeterSince"
"""Key in the event for the next invocation: when the removal began."""


class Context(Protocol):
    """The part of Lambda's context object that is used here."""

    def get_remaining_time_in_millis(self) -> int: ...  # noqa: D102


def handler(event: dict[str, Any], context: Context) -> None:
    """Handle one request of CloudFormation; see `Lifecycle.handle`."""
    lifecycle().handle(event, context.get_remaining_time_in_millis)


@cache
def lifecycle() -> "Lifecycle":
    """Return the lifecycle of this function, from its environment."""
    environment = Environment.read()
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
    """Handles CloudFormation's requests. `again` continues an event in another invocation."""

    ports: Ports
    find: Callable[[Collection[str]], Found]
    expiries: ExpiryParameters
    again: Callable[[Mapping[str, Any]], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep

    def handle(self, event: Mapping[str, Any], remaining_milliseconds: Callable[[], int]) -> None:
        """Carry out the request and always answer it; a removal may take a further invocation."""
        name = event["ResourceProperties"]["Name"]
        try:
            if not self._done(event, name, remaining_milliseconds):
                return
        except Exception as error:
            log.exception("%s of %s failed", event["RequestType"], name)
            detail = error.detail if isinstance(error, ParkmeterError) else "see the function's log"
            custom_resource.fail(event, name, f"{self._endpoint(name)}: {detail}")
        else:
            custom_resource.succeed(event, name)

    def _done(
        self, event: Mapping[str, Any], name: str, remaining_milliseconds: Callable[[], int]
    ) -> bool:
        match event["RequestType"]:
            case "Create":
                self._provision(name, event)
            case "Update" if event["OldResourceProperties"].get("Name") != name:
                # Another endpoint under the same logical id; CloudFormation removes the old one.
                self._provision(name, event)
            case "Delete":
                return self._end(name, event, remaining_milliseconds)
        return True

    def _provision(self, name: str, event: Mapping[str, Any]) -> None:
        """Add the initial minutes. Retried, as a new permission takes time to reach all of AWS."""
        initial = timedelta(minutes=float(event["ResourceProperties"][_INITIAL]))
        give_up = self.now() + RETRY_CREATE_FOR
        while True:
            try:
                found = self.find({name})
                if name not in found.definitions.keys() | found.broken:
                    raise ConfigError("it is not defined. Deploy its MeteredStack first.")
                # A value left by an earlier deployment would be taken for an operator's edit.
                self.expiries.withdraw(name)
                service_of(self.ports, found.definitions).provision(name, initial)
            except (BotoCoreError, ClientError, StoreBusyError, UnknownEndpointError):
                if self.now() >= give_up:
                    raise
                log.exception("%s could not be provisioned; retrying", name)
                self.pause(_LONGEST_PAUSE.total_seconds())
            else:
                self.ports.clock.wake(name)
                return

    # ── Removal ──────────────────────────────────────────────────────────────────────────────────

    def _end(
        self, name: str, event: Mapping[str, Any], remaining_milliseconds: Callable[[], int]
    ) -> bool:
        """Stop the endpoint and wait until it is gone; False if another invocation continues."""
        since = datetime.fromisoformat(event.get(_SINCE) or self.now().isoformat())
        service: MeterService | None = None
        look = self.now()
        while True:
            try:
                if self.now() >= look:
                    service = service or self._removed(name)
                    look = service.reconcile(name) or self.now() + _LONGEST_PAUSE
                # The clock sees SageMaker's events, and may have stopped it meanwhile.
                if self.ports.store.load(name).settled:
                    break
            except (BotoCoreError, ClientError, StoreBusyError):
                log.exception("%s could not be stopped; retrying", name)
                look = self.now() + _LONGEST_PAUSE
            if self.now() - since >= GIVE_UP_AFTER:
                raise ParkmeterError(self._given_up(name))
            if remaining_milliseconds() < _HAND_OVER_MILLISECONDS:
                self.again({**event, _SINCE: since.isoformat()})
                return False
            left = max(_SHORTEST_PAUSE, min(look - self.now(), _LONGEST_PAUSE))
            self.pause(left.total_seconds())
        self._withdraw(name)
        self.ports.clock.wake(name)  # the clock sends the mail, if it is still deployed
        return True

    def _given_up(self, name: str) -> str:
        """Return what to do about an endpoint that could not be stopped in time."""
        waited = f"{GIVE_UP_AFTER.total_seconds() / 60:.0f} minutes"
        try:
            stopping = self.ports.store.load(name).run.trouble == ""
        except (BotoCoreError, ClientError, StoreBusyError):
            stopping = False
        if stopping:
            return (
                f"SageMaker has refused to delete it for {waited}, because it is still being "
                "created or updated, and CloudFormation waits no longer. Its meter is closed, and "
                "the clock, which is still deployed, deletes it as soon as that has ended. Then "
                "delete this stack again with the same command."
            )
        return (
            f"it could not be stopped within {waited}. Delete this endpoint in SageMaker's "
            "console, then delete the stack again."
        )

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
            # The parameter costs nothing and is no reason to keep a stack.
            log.exception("%s: its published expiry could not be deleted", name)

    def _endpoint(self, name: str) -> str:
        return f"{self.ports.deployment}-{name}"


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A function has more processor time while it is initialized than when it handles an event.
    lifecycle()
