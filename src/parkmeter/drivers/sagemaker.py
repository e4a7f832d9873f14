"""Endpoints on Amazon SageMaker, made from the EndpointConfigs that the stacks deployed.

What exists is asked of SageMaker each time; a driver remembers nothing that another one, in another
Lambda, would have to know. An endpoint is ours if it bears our tag, which only `start` sets: any
other one of the same name is nothing of ours, so it is seen as absent and never deleted. It knows
nothing of meters, stacks or invocations.

The rules of states are those of botocore's service model, operation DescribeEndpoint; those of
refusals, which SageMaker tells apart by their message only, are in `sagemaker_words`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.decision import Observed
from parkmeter.core.meter import Phase, Spec
from parkmeter.drivers.sagemaker_errors import (
    Refused,
    cause_of,
    refusal_of,
    unreachable,
    why_failed,
    words_of,
)
from parkmeter.errors import DriverError

TAG = "parkmeter:deployment"

RunSpan = tuple[str, datetime]
"""Tells an endpoint from a later one of the same name."""

PATIENCE = Config(
    connect_timeout=3,
    read_timeout=6,
    # A repetition spares people a passing trouble; longer waiting is the clock's business.
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=20,  # the clock looks at several endpoints at once
)

PAGE = 100
"""The most that ListEndpoints gives at once; its default is 10."""

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack"})
"""States in which SageMaker refuses to delete."""

FOREIGN = "an endpoint of this name exists that parkmeter did not create; it is left alone"


class ControlPlane(Protocol):
    """The calls of boto3's SageMaker client that are made here."""

    def create_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def describe_endpoint(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def list_endpoints(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def list_tags(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Hosting:
    """How SageMaker hosts one endpoint.

    `endpoint`: its name there. `configs`: for each variant (instance type) the EndpointConfig.
    """

    endpoint: str
    configs: Mapping[str, str]

    def variant_of(self, config: str | None) -> str | None:
        """The variant that a config stands for; None for one from an earlier deployment."""
        return next((variant for variant, name in self.configs.items() if name == config), None)


def control_plane(region: str | None = None) -> ControlPlane:
    """A client of SageMaker that never waits long; credentials and address as boto3 finds them."""
    client: ControlPlane = boto3.client("sagemaker", region_name=region, config=PATIENCE)
    return client


class SageMakerDriver:
    """`ports.Driver` for SageMaker; may be used from any thread.

    `hostings` may be replaced at any time; an endpoint that is no longer in it goes by its name on
    SageMaker, and can still be seen and stopped. `prefix`: what all names there begin with. `ours`:
    whom another driver of this process knows to bear our tag; what this one learns is added.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (all but three have defaults)
        self,
        sagemaker: ControlPlane,
        deployment: str,
        hostings: Mapping[str, Hosting],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        prefix: str = "",
        ours: set[RunSpan] | None = None,
    ) -> None:
        self.hostings = hostings
        self._prefix = prefix
        self._sagemaker = sagemaker
        self._deployment = deployment
        self._now = now
        # Whom we know to bear our tag, so that the clock need not ask for tags every second. Only
        # "yes" is kept, and for one life of an endpoint; before a delete it is always asked.
        self._ours: set[RunSpan] = set() if ours is None else ours
        self._leaving: set[str] = set()

    # ── Seeing ───────────────────────────────────────────────────────────────────────────────────

    def observe(self, spec: Spec) -> Observed:
        """What SageMaker says of it; one that is not ours is absent, with a reason that says so.

        Raises:
            DriverError: SageMaker does not answer, or refuses to.

        """
        with _plain_words("It cannot be seen"):
            found = self._describe(spec.name)
            ours = None if found is None else self._is_ours(found)
            if found is not None and ours is not None:
                return self._seen(spec.name, found) if ours else Observed(Phase.ABSENT, FOREIGN)
            if spec.name in self._leaving:
                # Told once, at the first look that finds it gone: another driver may have started
                # and ended it again before the next look, and then this moment would be a wrong
                # one.
                self._leaving.discard(spec.name)
                return Observed(Phase.ABSENT, "stopped", self._now())
            return Observed(Phase.ABSENT)

    def _seen(self, name: str, found: Mapping[str, Any]) -> Observed:
        status = found["EndpointStatus"]
        created, modified = _utc(found["CreationTime"]), _utc(found["LastModifiedTime"])
        variant = self._hosting(name).variant_of(found.get("EndpointConfigName"))
        # The case in which it was created: InvokeEndpoint, other than the calls here, insists.
        address = found["EndpointName"]
        match status:
            case "Creating":
                return Observed(Phase.STARTING, f"starting{_on(variant)}", created)
            case "InService":
                return Observed(Phase.READY, "", modified, address)
            case "UpdateRollbackFailed":
                # It serves with a mix of two configurations, and nothing forbids to delete it.
                reason = "serving, but its last update could neither be finished nor rolled back"
                return Observed(Phase.READY, reason, modified, address)
            case "Updating" | "RollingBack":
                return Observed(Phase.BUSY, "serving; it is being updated", modified, address)
            case "SystemUpdating":
                reason = "serving; AWS is maintaining it, and does not let it be stopped meanwhile"
                return Observed(Phase.BUSY, reason, modified, address)
            case "Deleting":
                self._leaving.add(name)
                return Observed(Phase.STOPPING, "stopping", modified)
            case "Failed":
                why = found.get("FailureReason", "")
                reason = why_failed(why, variant, address)
                return Observed(Phase.FAILED, reason, modified, cause=cause_of(why))
            case "OutOfService":
                # It costs money, takes no requests, and nothing says that it ever will again.
                reason = "SageMaker took it out of service; it takes no requests"
                return Observed(Phase.FAILED, reason, modified)
            case _:
                # A state that AWS adds one day: not relied on while the meter is open, and asked to
                # go once it is closed, as nothing would if this were an error.
                return Observed(Phase.STARTING, f"SageMaker says {status}", created)

    def owned(self) -> list[str]:
        """Names of all endpoints with our tag; one of no known hosting by its SageMaker name.

        One whose tags cannot be read now is named too: whoever ends it looks at them again.

        Raises:
            DriverError: SageMaker does not answer, or refuses to.

        """
        known = {hosting.endpoint.lower(): name for name, hosting in self.hostings.items()}
        with _plain_words("The endpoints cannot be listed"):
            names = {
                known.get(found["EndpointName"].lower(), found["EndpointName"])
                for found in self._listed()
                if self._may_be_ours(found)
            }
        return sorted(names)

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        narrowed = {"NameContains": self._prefix} if self._prefix else {}
        for found in every(
            "Endpoints", self._sagemaker.list_endpoints, MaxResults=PAGE, **narrowed
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
        until: datetime,  # noqa: ARG002 (nothing on AWS ends an endpoint by itself)
        version: int,  # noqa: ARG002
    ) -> None:
        """Have SageMaker create it from the variant's config, with our tag.

        Raises:
            DriverError: not configured, refused, or the name belongs to somebody else's endpoint;
                with `capacity` where another variant may still be had.

        """
        config = self._hosting(spec.name).configs.get(variant)
        if config is None:
            raise DriverError(
                f"It has no endpoint configuration for {variant!r}. Deploy its stack."
            )
        with _plain_words("It could not be started"):
            try:
                self._sagemaker.create_endpoint(
                    EndpointName=self._hosting(spec.name).endpoint,
                    EndpointConfigName=config,
                    Tags=[{"Key": TAG, "Value": self._deployment}],
                )
            except ClientError as error:
                if refusal_of(error) is not Refused.EXISTS:
                    raise
                self._accept_existing(spec.name)
            else:
                self._leaving.discard(spec.name)

    def _accept_existing(self, name: str) -> None:
        """Nothing to start: ours may be there already, or on its way out."""
        found = self._describe(name)
        if found is not None and self._is_ours(found) is False:
            raise DriverError(
                f"It could not be started: {FOREIGN}. Delete that one, or name yours otherwise."
            )

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Nothing: an endpoint of SageMaker lives until it is deleted."""

    def stop(self, spec: Spec) -> None:
        """Have SageMaker delete it, if it is ours; while it is being made or updated, ask again.

        Raises:
            DriverError: SageMaker does not answer, or refuses for good.

        """
        with _plain_words("It could not be stopped"):
            found = self._describe(spec.name)
            if found is None or found["EndpointStatus"] == "Deleting":
                return
            self._ours.discard(life_of(found))
            if not self._is_ours(found):
                return
            try:
                self._sagemaker.delete_endpoint(EndpointName=found["EndpointName"])
            except ClientError as error:
                refused = refusal_of(error)
                # How SageMaker words it is known for some of these states only.
                in_progress = found["EndpointStatus"] in IN_PROGRESS and refused is Refused.INVALID
                if in_progress or refused in {Refused.IN_PROGRESS, Refused.MISSING}:
                    return
                raise
            self._leaving.add(spec.name)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _hosting(self, name: str) -> Hosting:
        return self.hostings.get(name) or Hosting(name, {})

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self._sagemaker.describe_endpoint(EndpointName=self._hosting(name).endpoint)
        except ClientError as error:
            if refusal_of(error) is Refused.MISSING:
                return None
            raise

    def _is_ours(self, found: Mapping[str, Any]) -> bool | None:
        """Whether it bears our tag; None if it has just gone."""
        if life_of(found) in self._ours:
            return True
        try:
            tags = list(every("Tags", self._sagemaker.list_tags, ResourceArn=found["EndpointArn"]))
        except ClientError as error:
            if refusal_of(error) is Refused.MISSING:
                return None
            raise
        if {"Key": TAG, "Value": self._deployment} not in tags:
            return False
        self._ours.add(life_of(found))
        return True


def life_of(found: Mapping[str, Any]) -> RunSpan:
    """Of a description, or of an item of the list."""
    return found["EndpointArn"], found["CreationTime"]


def every(
    key: str, call: Callable[..., Mapping[str, Any]], **request: Any
) -> Iterator[Mapping[str, Any]]:
    """All items of a listing, page by page."""
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
def _plain_words(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise words_of(error, what) from error
    except BotoCoreError as error:
        raise unreachable(error, what) from error
