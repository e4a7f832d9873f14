"""Composition of the service over AWS from a function's environment; knows every adapter.

Knows no handler and no web framework, so that each function's package holds only what it needs.
"""

import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.definitions import Definition
from parkmeter.aws.last_use import last_use
from parkmeter.core.events import MAILED
from parkmeter.core.status import View
from parkmeter.drivers.sagemaker import (
    ControlPlane,
    Hosting,
    Identity,
    SageMakerDriver,
    control_plane,
)
from parkmeter.notify.log import LogNotifier
from parkmeter.ports import Clock, Gate, Notifier
from parkmeter.service.audit import Audit, EjectAudit
from parkmeter.service.meters import MeterService
from parkmeter.stores.dynamodb import DynamoStore, Tables

log = logging.getLogger(__name__)

PATIENCE = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=20,  # at least one for each of the clock's workers
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings that the stacks give every function (`stacks/names.py`)."""

    prefix: str
    tables: Tables
    endpoints_path: str
    expiry_path: str
    hours_path: str
    clock_function: str

    @classmethod
    def read(cls) -> Self:
        """Return this function's environment."""
        return cls(
            prefix=os.environ["PARKMETER_PREFIX"],
            tables=Tables(os.environ["PARKMETER_METERS_TABLE"], os.environ["PARKMETER_AUTH_TABLE"]),
            endpoints_path=os.environ["PARKMETER_ENDPOINTS_PATH"],
            expiry_path=os.environ["PARKMETER_EXPIRY_PATH"],
            hours_path=os.environ["PARKMETER_HOURS_PATH"],
            clock_function=os.environ["PARKMETER_CLOCK_FUNCTION"],
        )


def dynamodb() -> Any:
    """Return a client with plain values, as the store uses it."""
    return boto3.resource("dynamodb", config=PATIENCE).meta.client


class DistantClock:
    """Implements `ports.Clock` in functions that leave reconciling to the clock's function."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """Return the clock of this deployment."""
        return cls(boto3.client("lambda", config=PATIENCE), environment.clock_function)

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Invoke the clock's function for this meter; what is due later is found by a later tick.

        The change is committed already, so a failed call does not fail the request: the next tick
        finds the meter.
        """
        if at is not None:
            return
        try:
            self._client.invoke(
                FunctionName=self._function,
                InvocationType="Event",
                Payload=json.dumps({"kind": "wake", "name": name}).encode(),
            )
        except (BotoCoreError, ClientError) as error:
            log.warning("%s: the clock was not woken, its next tick will find it: %s", name, error)


class NoGate:
    """Implements `ports.Gate` where prompts pass through other functions.

    `last_use` finds the uses that they noted.
    """

    def __init__(self, last_use: Callable[[str], datetime | None] = lambda _name: None) -> None:
        self._last_use = last_use

    def show(self, view: View) -> None:
        """See `ports.Gate`: the prompt functions read the meter themselves."""

    def in_flight(self, name: str) -> int | None:  # noqa: ARG002 (the port's)
        """See `ports.Gate`: unknown here."""
        return None

    def last_prompt(self, name: str) -> datetime | None:
        """See `ports.Gate`: as noted by the prompt functions."""
        return self._last_use(name)


@dataclass(frozen=True, slots=True)
class Ports:
    """The adapters of a service, made once for a function's lifetime.

    `ours`: endpoints that are known to bear our tag; see `SageMakerDriver`.
    """

    store: DynamoStore
    sagemaker: ControlPlane
    clock: Clock
    gate: Gate
    notifier: Notifier
    deployment: str
    ours: set[Identity] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        environment: Environment,
        plain_dynamodb: Any,
        clock: Clock,
    ) -> Self:
        """Return the ports of a function; entries it commits are logged, and posted for `mail`."""
        # Lambda shows only warnings and worse by default.
        for stream in ("parkmeter.journal", "parkmeter.audit"):
            logging.getLogger(stream).setLevel(logging.INFO)
        store = DynamoStore(plain_dynamodb, environment.tables, posts=MAILED)
        return cls(
            store=store,
            sagemaker=control_plane(),
            clock=clock,
            gate=NoGate(last_use(plain_dynamodb, environment.tables.meters)),
            notifier=EjectAudit(Audit(store, clock.now), LogNotifier()),
            deployment=environment.prefix,
        )


def service_of(
    ports: Ports, definitions: Mapping[str, Definition], others: Collection[str] = ()
) -> MeterService:
    """Return the service over these endpoints.

    `others` have no definition; their endpoints on SageMaker, if any, are found by the name that
    the stacks give every endpoint (`stacks/names.py`).
    """
    hostings = {name: Hosting(f"{ports.deployment}-{name}", {}) for name in others}
    hostings |= {
        name: Hosting(one.endpoint, one.configs, one.tags) for name, one in definitions.items()
    }
    return MeterService(
        {name: one.spec for name, one in definitions.items()},
        store=ports.store,
        driver=SageMakerDriver(
            ports.sagemaker, ports.deployment, hostings, ports.clock.now, ours=ports.ours
        ),
        clock=ports.clock,
        gate=ports.gate,
        notifier=ports.notifier,
    )
