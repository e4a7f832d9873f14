"""Endpoints on Amazon SageMaker, created from the EndpointConfigs that the stacks deployed.

State is read from SageMaker each time; a driver keeps nothing that a driver in another Lambda would
need. An endpoint is ours if it has our tag, which only `start` sets: any other one of the same name
is reported as absent and never deleted. It knows nothing of meters, stacks or invocations.

The rules of states follow botocore's service model, operation DescribeEndpoint; those of refusals,
which SageMaker distinguishes by their message only, are in `sagemaker_errors`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.decision import Observed
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.sagemaker_errors import (
    Refusal,
    cause_of,
    classify,
    describe_failure,
    driver_error,
    unreachable_error,
)
from parkmeter.errors import DriverError

TAG = "parkmeter:deployment"

Identity = tuple[str, datetime]
"""ARN and creation time, which distinguish an endpoint from a later one of the same name."""

CLIENT_CONFIG = Config(
    connect_timeout=3,
    read_timeout=6,
    # Retries hide short faults; for longer ones the clock calls again.
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=20,  # the clock observes several endpoints at once
)

_PAGE = 100
"""The largest page of ListEndpoints; its default is 10."""

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})
"""States in which SageMaker refuses to delete."""

FOREIGN = "an endpoint with this name exists that parkmeter did not create; it is left alone"


class ControlPlane(Protocol):
    """Methods of boto3's SageMaker client that are used here."""

    def create_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def describe_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def list_endpoints(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def list_tags(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Hosting:
    """Names of one endpoint on SageMaker.

    `endpoint`: its name there. `configs`: the EndpointConfig of each variant (instance type).
    `tags`: given to it beside parkmeter's own.
    """

    endpoint: str
    configs: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)

    def variant_of(self, config: str | None) -> str | None:
        """Return the variant of a config; None for one from an earlier deployment."""
        return next((variant for variant, name in self.configs.items() if name == config), None)


def control_plane(region: str | None = None) -> ControlPlane:
    """Return a SageMaker client with short timeouts; boto3 finds credentials and address."""
    client: ControlPlane = boto3.client("sagemaker", region_name=region, config=CLIENT_CONFIG)
    return client


class SageMakerDriver:
    """`ports.Driver` for SageMaker; may be used from any thread.

    `hostings` may be replaced at any time; an endpoint that is no longer in it is known by its name
    on SageMaker, and can still be observed and stopped. `prefix`: that of all names there. `ours`:
    endpoints known to have our tag, shared with other drivers of this process; this one adds to it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (all but three have defaults)
        self,
        sagemaker: ControlPlane,
        deployment: str,
        hostings: Mapping[str, Hosting],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        prefix: str = "",
        ours: set[Identity] | None = None,
    ) -> None:
        self.hostings = hostings
        self._prefix = prefix
        self._sagemaker = sagemaker
        self._deployment = deployment
        self._now = now
        # Endpoints known to have our tag, so that the clock need not list tags every second. Only
        # positive results are kept, per creation; before a delete the tags are always read.
        self._ours: set[Identity] = set() if ours is None else ours
        self._deleting: set[str] = set()
        # What `observe` found, for the stop that follows it: under throttling a second description
        # would be refused each time. The tags are read again, so nothing of others is deleted.
        self._described: dict[str, Mapping[str, Any]] = {}

    # ── Observing ────────────────────────────────────────────────────────────────────────────────

    def observe(self, spec: Spec) -> Observed:
        """Return the present state; one that is not ours is absent, with `FOREIGN` as the reason.

        Raises:
            DriverError: SageMaker does not answer, or refuses.

        """
        self._described.pop(spec.name, None)
        with _as_driver_error("Its state cannot be read"):
            found = self._describe(spec.name)
            ours = None if found is None else self._is_ours(found)
            if found is not None and ours is not None:
                self._described[spec.name] = found
                return self._seen(spec.name, found) if ours else Observed(Phase.ABSENT, FOREIGN)
            if spec.name in self._deleting:
                # Only once, at the first observation that finds it gone: another driver may start
                # and stop it again before the next one, and then this time would be wrong.
                self._deleting.discard(spec.name)
                return Observed(Phase.ABSENT, "stopped", self._now())
            return Observed(Phase.ABSENT)

    def _seen(self, name: str, found: Mapping[str, Any]) -> Observed:
        status = found["EndpointStatus"]
        created, modified = _utc(found["CreationTime"]), _utc(found["LastModifiedTime"])
        variant = self._hosting(name).variant_of(found.get("EndpointConfigName"))
        # With the case of its creation, which InvokeEndpoint, unlike the calls here, requires.
        address = found["EndpointName"]
        match status:
            case "Creating":
                reason = f"starting{_on(variant)}"
                return Observed(Phase.STARTING, reason, created, locked=True)
            case "InService":
                return Observed(Phase.READY, "", modified, address)
            case "UpdateRollbackFailed":
                # It serves with a mix of two configurations, and can be deleted.
                reason = "serving, but its last update could be neither completed nor rolled back"
                return Observed(Phase.READY, reason, modified, address)
            case "Updating" | "RollingBack":
                reason = "serving; it is being updated"
                return Observed(Phase.BUSY, reason, modified, address, locked=True)
            case "SystemUpdating":
                reason = "serving; under maintenance by AWS, during which it cannot be stopped"
                return Observed(Phase.BUSY, reason, modified, address, locked=True)
            case "Deleting":
                self._deleting.add(name)
                return Observed(Phase.STOPPING, "stopping", modified)
            case "Failed":
                why = found.get("FailureReason", "")
                reason = describe_failure(why, variant, address)
                return Observed(Phase.FAILED, reason, modified, cause=cause_of(why))
            case "OutOfService":
                # It costs money and takes no requests, perhaps never again.
                reason = "SageMaker took it out of service; it takes no requests"
                return Observed(Phase.FAILED, reason, modified)
            case _:
                # A status that AWS may add later: not serving while the meter is open, and stopped
                # once it is closed, which an error would prevent.
                return Observed(Phase.STARTING, f"SageMaker reports {status}", created)

    def owned(self) -> list[str]:
        """Return the names of all endpoints with our tag; without a hosting, the name on SageMaker.

        One whose tags cannot be read now is included: `stop` reads them again.

        Raises:
            DriverError: SageMaker does not answer, or refuses.

        """
        known = {hosting.endpoint.lower(): name for name, hosting in self.hostings.items()}
        with _as_driver_error("The endpoints cannot be listed"):
            names = {
                known.get(found["EndpointName"].lower(), found["EndpointName"])
                for found in self._listed()
                if self._may_be_ours(found)
            }
        return sorted(names)

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        narrowed = {"NameContains": self._prefix} if self._prefix else {}
        for found in _paginate(
            "Endpoints", self._sagemaker.list_endpoints, MaxResults=_PAGE, **narrowed
        ):
            if found["EndpointName"].startswith(self._prefix):
                yield found

    def _may_be_ours(self, found: Mapping[str, Any]) -> bool:
        try:
            return bool(self._is_ours(found))
        except ClientError:
            return True

    # ── Acting ───────────────────────────────────────────────────────────────────────────────────

    def start(
        self,
        spec: Spec,
        variant: str,
        until: datetime,  # noqa: ARG002 (AWS has no deadline for endpoints)
        version: int,  # noqa: ARG002
    ) -> None:
        """Create the endpoint from the variant's config, with our tag.

        Raises:
            DriverError: not configured, refused, or another endpoint has the name; with `capacity`
                where another variant may be available.

        """
        hosting = self._hosting(spec.name)
        config = hosting.configs.get(variant)
        if config is None:
            raise DriverError(
                f"It has no endpoint configuration for {variant!r}. Deploy its stack."
            )
        with _as_driver_error("It could not be started"):
            try:
                self._sagemaker.create_endpoint(
                    EndpointName=hosting.endpoint,
                    EndpointConfigName=config,
                    Tags=[
                        {"Key": key, "Value": value}
                        for key, value in {**hosting.tags, TAG: self._deployment}.items()
                    ],
                )
            except ClientError as error:
                if classify(error) is not Refusal.EXISTS:
                    raise
                self._accept_existing(spec.name)
            else:
                self._deleting.discard(spec.name)

    def _accept_existing(self, name: str) -> None:
        """Do nothing if the existing endpoint is ours (or being deleted), else raise."""
        found = self._describe(name)
        if found is not None and self._is_ours(found) is False:
            raise DriverError(
                f"It could not be started: {FOREIGN}. Delete that one, or rename yours."
            )

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Do nothing: an endpoint on SageMaker runs until it is deleted."""

    def stop(self, spec: Spec) -> None:
        """Delete the endpoint if it is ours; if it is being created or updated, do nothing yet.

        Raises:
            DriverError: SageMaker does not answer, or refuses for another reason.

        """
        with _as_driver_error("It could not be stopped"):
            found = self._described.pop(spec.name, None) or self._describe(spec.name)
            if found is None or found["EndpointStatus"] == "Deleting":
                return
            self._ours.discard(_identity(found))
            if not self._is_ours(found):
                return
            try:
                self._sagemaker.delete_endpoint(EndpointName=found["EndpointName"])
            except ClientError as error:
                refused = classify(error)
                # SageMaker's message is known for some of these states only.
                in_progress = found["EndpointStatus"] in IN_PROGRESS and refused is Refusal.INVALID
                if in_progress or refused in {Refusal.IN_PROGRESS, Refusal.MISSING}:
                    return
                raise
            self._deleting.add(spec.name)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _hosting(self, name: str) -> Hosting:
        return self.hostings.get(name) or Hosting(name, {})

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._sagemaker.describe_endpoint(EndpointName=self._hosting(name).endpoint)
        except ClientError as error:
            if classify(error) is Refusal.MISSING:
                return None
            raise

    def _is_ours(self, found: Mapping[str, Any]) -> bool | None:
        """Return whether it has our tag; None if it no longer exists."""
        if _identity(found) in self._ours:
            return True
        try:
            tags = list(
                _paginate("Tags", self._sagemaker.list_tags, ResourceArn=found["EndpointArn"])
            )
        except ClientError as error:
            if classify(error) is Refusal.MISSING:
                return None
            raise
        if {"Key": TAG, "Value": self._deployment} not in tags:
            return False
        self._ours.add(_identity(found))
        return True


def _identity(found: Mapping[str, Any]) -> Identity:
    """Return the identity from a description or an item of the list."""
    return found["EndpointArn"], found["CreationTime"]


def _paginate(
    key: str, call: Callable[..., Mapping[str, Any]], **request: Any
) -> Iterator[Mapping[str, Any]]:
    """Yield all items of a listing, page by page."""
    page = call(**request)
    yield from page[key]
    while token := page.get("NextToken"):
        page = call(**request, NextToken=token)
        yield from page[key]


def _on(variant: str | None) -> str:
    return f" on {variant}" if variant else ""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


@contextmanager
def _as_driver_error(failure: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise driver_error(error, failure) from error
    except BotoCoreError as error:
        raise unreachable_error(error, failure) from error
