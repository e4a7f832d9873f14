"""What `app.py` configures: the deployment and its models, checked before anything is synthesized.

Frozen values and the rules they keep. Knows no construct and makes no call.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from parkmeter.config import RESERVED
from stacks.names import (
    DEFAULT_PREFIX,
    LONGEST_BUCKET,
    LONGEST_ENDPOINT,
    LONGEST_FUNCTION,
    Names,
)

_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_MOST_VARIANTS = 5
"""The definition of an endpoint must fit into an SSM parameter: 4 KB."""

_LONGEST_STARTUP = 3600
"""Seconds; the most that SageMaker waits for a container or for its model (AWS)."""


@dataclass(frozen=True, slots=True)
class JumpStart:
    """A model of SageMaker JumpStart, in a version that `jumpstart.json` knows."""

    model_id: str
    version: str


@dataclass(frozen=True, slots=True)
class Container:
    """Any container that speaks SageMaker's contract (`/ping`, `/invocations` on port 8080).

    `image` is `repository:tag`, in AWS's registry of deep learning containers or, with
    `own_registry`, in the account's own. `artifact` is the S3 address of a `model.tar.gz`, if the
    container does not fetch its model itself.
    """

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    artifact: str | None = None
    own_registry: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9._-]+", self.image):
            raise ValueError(f"image {self.image!r}: write repository:tag, without a host")
        if self.artifact is not None and not re.fullmatch(r"s3://[^/]+/.+", self.artifact):
            raise ValueError(f"artifact {self.artifact!r}: write s3://bucket/key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One metered endpoint. Minutes, seconds and dollars as the names say.

    `instance_types`: best first; where AWS has no capacity the next one is tried.
    `price_per_hour`: of the first one; None: unknown, never zero.
    """

    name: str
    model: JumpStart | Container
    instance_types: tuple[str, ...]
    api_resource: str = ""
    price_per_hour: Decimal | None = None
    initial_provision_time_minutes: float | None = None
    startup_timeout_seconds: int = 1800
    startup_credit_minutes: float = 30
    drain_seconds: float = 30
    max_top_up_minutes: float = 1440
    max_minutes_ahead: float = 10080
    warn_minutes: tuple[float, ...] = (10, 2)
    async_concurrency: int = 4
    async_most_instances: int = 1
    async_results_days: int = 7

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise self._wrong("name", "lower-case letters, digits, inner hyphens")
        if not self.instance_types or len(set(self.instance_types)) != len(self.instance_types):
            raise self._wrong("instance_types", "one or more, each once")
        if len(self.instance_types) > _MOST_VARIANTS:
            raise self._wrong("instance_types", f"at most {_MOST_VARIANTS}")
        if not all(kind.startswith("ml.") for kind in self.instance_types):
            raise self._wrong("instance_types", "SageMaker's begin with ml.")
        if not _RESOURCE.fullmatch(self.resource):
            raise self._wrong("api_resource", "one path segment")
        if not 60 <= self.startup_timeout_seconds <= _LONGEST_STARTUP:  # noqa: PLR2004 (AWS)
            raise self._wrong("startup_timeout_seconds", f"60 to {_LONGEST_STARTUP}")
        if self.price_per_hour is not None and self.price_per_hour < 0:
            raise self._wrong("price_per_hour", "not negative; None if unknown")
        for limit in ("max_top_up_minutes", "max_minutes_ahead", "async_results_days"):
            if getattr(self, limit) <= 0:
                raise self._wrong(limit, "greater than 0")

    @property
    def resource(self) -> str:
        """The path segment under which prompts reach it."""
        return self.api_resource or self.name

    @property
    def title(self) -> str:
        """What its stacks begin with: `flan-t5` → `FlanT5`."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    def _wrong(self, what: str, right: str) -> ValueError:
        given = getattr(self, what)
        return ValueError(f"endpoint {self.name!r}: {what} {given!r}: {right}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A deployment."""

    region: str
    endpoints: tuple[Endpoint, ...]
    prefix: str = DEFAULT_PREFIX
    initial_provision_time_minutes: float = 60
    notification_email: str | None = None
    log_days: int = 30

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            raise ValueError(f"region {self.region!r}: for example us-east-1")
        if self.notification_email is not None and not _EMAIL.fullmatch(self.notification_email):
            raise ValueError(f"notification_email {self.notification_email!r}: an address, or None")
        if not self.endpoints:
            raise ValueError("endpoints: at least one is needed")
        self._check_paths()
        self._check_lengths()

    @property
    def names(self) -> Names:
        """All literal names."""
        return Names(self.prefix)

    def initial_minutes(self, endpoint: Endpoint) -> float:
        """What an endpoint's meter gets when it is provisioned for the first time."""
        own = endpoint.initial_provision_time_minutes
        minutes = self.initial_provision_time_minutes if own is None else own
        if not 0 <= minutes <= endpoint.max_minutes_ahead:
            raise ValueError(
                f"endpoint {endpoint.name!r}: initial_provision_time_minutes {minutes}: "
                f"0 to {endpoint.max_minutes_ahead:g}"
            )
        return minutes

    def _check_paths(self) -> None:
        taken = dict.fromkeys(RESERVED, "parkmeter itself")
        for endpoint in self.endpoints:
            for path in (endpoint.resource.lower(), f"{endpoint.resource.lower()}-async"):
                if path in taken:
                    raise ValueError(
                        f"endpoint {endpoint.name!r}: the path /{path} is taken by {taken[path]}"
                    )
                taken[path] = endpoint.name
            self.initial_minutes(endpoint)
        made = [name for one in self.endpoints for name in (one.name, f"{one.name}-async")]
        if len(set(made)) != len(made):
            raise ValueError("endpoints: none may be called like another one's -async")
        for what in ("name", "title"):
            if len({getattr(one, what) for one in self.endpoints}) != len(self.endpoints):
                raise ValueError(f"endpoints: each {what} once; stacks are named after them")

    def _check_lengths(self) -> None:
        names, account = self.names, "0" * 12
        for endpoint in self.endpoints:
            name = endpoint.name
            for made, longest in (
                (names.async_bucket(name, account, self.region), LONGEST_BUCKET),
                (names.async_endpoint(name), LONGEST_ENDPOINT),
                (names.inference(name), LONGEST_FUNCTION),
                (names.async_bucket_function(name), LONGEST_FUNCTION),
            ):
                if len(made) > longest:
                    raise ValueError(
                        f"endpoint {name!r}: {made} has more than {longest} characters; "
                        "shorten name or prefix"
                    )
