"""The life of one endpoint: its states, and what follows each by itself when its time has come.

States: botocore's service model, DescribeEndpoint. The time of day is an argument. Who may ask for
what in which state is the business of `account.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from simulator.sagemaker.containers import Container


class Status(StrEnum):
    """Status of an endpoint, as DescribeEndpoint returns it."""

    OUT_OF_SERVICE = "OutOfService"
    CREATING = "Creating"
    UPDATING = "Updating"
    SYSTEM_UPDATING = "SystemUpdating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"
    UPDATE_ROLLBACK_FAILED = "UpdateRollbackFailed"


IN_PROGRESS = frozenset(
    {Status.CREATING, Status.UPDATING, Status.SYSTEM_UPDATING, Status.ROLLING_BACK}
)
"""Neither to be updated nor deleted. Deleting is not among them: a second delete of an endpoint
that is being deleted is believed to be refused alike, see `account.py`."""

SERVING = frozenset(
    {
        Status.IN_SERVICE,
        Status.UPDATING,
        Status.SYSTEM_UPDATING,
        Status.ROLLING_BACK,
        Status.UPDATE_ROLLBACK_FAILED,
    }
)

NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)
NOT_HEALTHY = (
    "The primary container for production variant {variant} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


@dataclass(frozen=True)
class Delays:
    """Durations of each state change.

    `health_check`: after `create`, until a silent container is a failure;
    `config`: until a new EndpointConfig can be found by a create.
    """

    create: timedelta = timedelta(minutes=3)
    provision: timedelta = timedelta(minutes=2)
    health_check: timedelta = timedelta(minutes=4)
    update: timedelta = timedelta(minutes=3)
    delete: timedelta = timedelta(seconds=20)
    config: timedelta = timedelta(0)


@dataclass(frozen=True)
class EndpointConfig:
    """As it was created: `request` holds the members of CreateEndpointConfig."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]

    @property
    def variants(self) -> list[dict[str, Any]]:
        return self.request["ProductionVariants"]

    def instances(self) -> dict[str, int]:
        """How many of each instance type it takes."""
        taken: dict[str, int] = {}
        for variant in self.variants:
            kind = variant.get("InstanceType", "serverless")
            taken[kind] = taken.get(kind, 0) + variant.get("InitialInstanceCount", 1)
        return taken


@dataclass
class Endpoint:
    """One endpoint. What comes next by itself: `then` at `then_at`; None as `then` is "gone"."""

    name: str
    arn: str
    config: EndpointConfig
    created: datetime
    modified: datetime
    tags: dict[str, str] = field(default_factory=dict)
    status: Status = Status.CREATING
    failure: str = ""
    container: Container | None = None
    then: Status | None = None
    then_at: datetime | None = None
    then_failure: str = ""
    stuck: bool = False
    kept_waiting: bool = False  # by its container, which was not healthy when it was due

    def go(self, status: Status, at: datetime, failure: str = "") -> None:
        """Be in this state from now on, and stay in it."""
        self.status, self.modified, self.failure = status, at, failure
        self.then = self.then_at = None
        self.then_failure = ""
        if status in (Status.FAILED, Status.DELETING) and self.container is not None:
            self.container.close()
            self.container = None

    def plan(self, then: Status | None, at: datetime, failure: str = "") -> None:
        """What comes by itself."""
        self.then, self.then_at, self.then_failure = then, at, failure

    def due(self, now: datetime) -> bool:
        return not self.stuck and self.then_at is not None and self.then_at <= now

    def advance(self, now: datetime, delays: Delays) -> bool:
        """Take the step that is due; whether it did. Not for the last step, which is to be gone."""
        assert self.then is not None
        assert self.then_at is not None
        at = self.then_at
        if self.status is Status.CREATING and self.then is Status.IN_SERVICE:
            if self.container is not None and self.container.healthy():
                self.go(Status.IN_SERVICE, now if self.kept_waiting else at)
                return True
            if now < at + delays.health_check:
                self.kept_waiting = True
                return False
            variant = self.config.variants[0]["VariantName"]
            failed_at = at + delays.health_check
            self.go(Status.FAILED, failed_at, NOT_HEALTHY.format(variant=variant))
            return True
        self.go(self.then, at, self.then_failure)
        return True
