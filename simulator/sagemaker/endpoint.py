"""The states of one endpoint and the timed transitions between them.

States: botocore's service model, DescribeEndpoint. Time is an argument. The calls that are allowed
in each state are in `account.py`.
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
"""States in which an endpoint can be neither updated nor deleted. Deleting is separate: that a
second delete is refused too is an assumption, see `account.py`."""

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

    `health_check`: after `create`, until a container without an answer fails its endpoint;
    `config`: until CreateEndpoint finds a new EndpointConfig; `listing`: how far ListEndpoints is
    behind DescribeEndpoint.
    """

    create: timedelta = timedelta(minutes=3)
    provision: timedelta = timedelta(minutes=2)
    health_check: timedelta = timedelta(minutes=4)
    update: timedelta = timedelta(minutes=3)
    delete: timedelta = timedelta(seconds=20)
    config: timedelta = timedelta(0)
    listing: timedelta = timedelta(0)


@dataclass(frozen=True)
class EndpointConfig:
    """An EndpointConfig; `request` holds the members of CreateEndpointConfig."""

    name: str
    arn: str
    created: datetime
    request: dict[str, Any]

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Return the production variants as requested."""
        return self.request["ProductionVariants"]

    @property
    def kinds(self) -> set[str]:
        """Return the instance types."""
        return set(self.instances())

    @property
    def initial(self) -> int:
        """Return the number of instances of all variants."""
        return sum(self.instances().values())

    def instances(self) -> dict[str, int]:
        """Return the number of instances by type."""
        taken: dict[str, int] = {}
        for variant in self.variants:
            kind = variant.get("InstanceType", "serverless")
            taken[kind] = taken.get(kind, 0) + variant.get("InitialInstanceCount", 1)
        return taken


@dataclass
class Endpoint:
    """One endpoint. It enters `next_status` at `next_at`; a status of None then means deleted.

    `instances` run, `desired` are to run once it is in service.
    """

    name: str
    arn: str
    config: EndpointConfig
    created: datetime
    modified: datetime
    tags: dict[str, str] = field(default_factory=dict)
    status: Status = Status.CREATING
    failure: str = ""
    container: Container | None = None
    next_status: Status | None = None
    next_at: datetime | None = None
    next_failure: str = ""
    stuck: bool = False
    instances: int = 0
    desired: int = 0
    ping_failed: bool = False  # the container was not healthy when InService was due

    def set_state(self, status: Status, at: datetime, failure: str = "") -> None:
        """Enter a state, with no transition planned."""
        self.status, self.modified, self.failure = status, at, failure
        self.next_status = self.next_at = None
        self.next_failure = ""
        if status is Status.IN_SERVICE:
            self.instances = self.desired
        if status in (Status.FAILED, Status.DELETING) and self.container is not None:
            self.container.close()
            self.container = None

    def plan(self, next_status: Status | None, at: datetime, failure: str = "") -> None:
        """Plan the next transition."""
        self.next_status, self.next_at, self.next_failure = next_status, at, failure

    def due(self, now: datetime) -> bool:
        """Return whether the next transition is due."""
        return not self.stuck and self.next_at is not None and self.next_at <= now

    def advance(self, now: datetime, delays: Delays) -> bool:
        """Make the transition that is due, except a deletion; return False while the ping fails."""
        assert self.next_status is not None
        assert self.next_at is not None
        at = self.next_at
        if self.status is Status.CREATING and self.next_status is Status.IN_SERVICE:
            if self.container is not None and self.container.healthy():
                self.set_state(Status.IN_SERVICE, now if self.ping_failed else at)
                return True
            if now < at + delays.health_check:
                self.ping_failed = True
                return False
            variant = self.config.variants[0]["VariantName"]
            failed_at = at + delays.health_check
            self.set_state(Status.FAILED, failed_at, NOT_HEALTHY.format(variant=variant))
            return True
        self.set_state(self.next_status, at, self.next_failure)
        return True
