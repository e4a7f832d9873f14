"""From a function's environment to the core over AWS: the one place here that knows every adapter.

Knows no handler and no web framework, so that each function packs only what it needs.
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
from parkmeter.drivers.sagemaker import (
    ControlPlane,
    Hosting,
    Identity,
    SageMakerDriver,
    control_plane,
)
from parkmeter.notify.log import LogNotifier
from parkmeter.ports import Clock, Gate, Notifier, View
from parkmeter.service.meters import MeterService
from parkmeter.stores.dynamodb import DynamoStore, Tables

log = logging.getLogger(__name__)

PATIENCE = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=20,  # the clock looks at several meters at once
)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the stacks tell every function (`stacks/names.py`)."""

    prefix: str
    tables: Tables
    endpoints_path: str
    expiry_path: str
    hours_path: str
    clock_function: str

    @classmethod
    def given(cls) -> Self:
        """This function's."""
        return cls(
            prefix=os.environ["PARKMETER_PREFIX"],
            tables=Tables(os.environ["PARKMETER_METERS_TABLE"], os.environ["PARKMETER_AUTH_TABLE"]),
            endpoints_path=os.environ["PARKMETER_ENDPOINTS_PATH"],
            expiry_path=os.environ["PARKMETER_EXPIRY_PATH"],
            hours_path=os.environ["PARKMETER_HOURS_PATH"],
            clock_function=os.environ["PARKMETER_CLOCK_FUNCTION"],
        )


def dynamodb() -> Any:
    """A client with plain values, as the store takes it."""
    return boto3.resource("dynamodb", config=PATIENCE).meta.client


class DistantClock:
    """Implements `ports.Clock` where reconciling is another function's work."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """The clock of this deployment."""
        return cls(boto3.client("lambda", config=PATIENCE), environment.clock_function)

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Have the clock's function look at this meter; what is for later, its next tick finds.

        The change is committed already, so a call that fails is no failure of the request: the
        next tick makes up for it.
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
            log.warning("%s: the clock was not woken, its next tick will do: %s", name, error)


class NoGate:
    """Implements `ports.Gate` where prompts pass through other functions, unseen from here.

    `last_use` finds what they noted.
    """

    def __init__(self, last_use: Callable[[str], datetime | None] = lambda _name: None) -> None:
        self._last_use = last_use

    def show(self, view: View) -> None:
        """See `ports.Gate`: they read the meter themselves."""

    def in_flight(self, name: str) -> int | None:  # noqa: ARG002 (the port's)
        """See `ports.Gate`: cannot be seen."""
        return None

    def last_prompt(self, name: str) -> datetime | None:
        """See `ports.Gate`: as it was noted."""
        return self._last_use(name)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a service stands on besides its definitions; made once for a function's lifetime.

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
        """The ports of any function: what it commits is logged here, and posted for `mailing`."""
        # Lambda shows warnings and worse, unless a logger says otherwise.
        logging.getLogger("parkmeter.journal").setLevel(logging.INFO)
        return cls(
            store=DynamoStore(plain_dynamodb, environment.tables, posts=MAILED),
            sagemaker=control_plane(),
            clock=clock,
            gate=NoGate(last_use(plain_dynamodb, environment.tables.meters)),
            notifier=LogNotifier(),
            deployment=environment.prefix,
        )


def service_of(
    ports: Ports, definitions: Mapping[str, Definition], others: Collection[str] = ()
) -> MeterService:
    """The use cases over these endpoints.

    `others` have no definition; what may be left of them on SageMaker goes by the name that the
    stacks give every endpoint (`stacks/names.py`).
    """
    hostings = {name: Hosting(f"{ports.deployment}-{name}", {}) for name in others}
    hostings |= {name: Hosting(one.endpoint, one.configs) for name, one in definitions.items()}
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
