"""Settings of one endpoint and its model, validated before synth.

Frozen values and their rules. Knows no construct and makes no call.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from parkmeter.core.hours import Hours
from parkmeter.core.meter import ZERO
from parkmeter.core.money import MOST_AN_HOUR, PRICE_PLACES, is_price

_NAME = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SEVERAL = "in brackets; a single one with a comma"
_AMI = re.compile(r"al[0-9]+-ami-sagemaker-inference-[a-z0-9-]+")
_MOST_VARIANTS = 5
"""The definition of an endpoint must fit into an SSM parameter: 4 KB."""

_MOST_AT_ONCE = 1000
"""MaxConcurrentInvocationsPerInstance (AWS)."""

_SHORTEST_STARTUP, _LONGEST_STARTUP = 60, 3600
"""Seconds; the limits of SageMaker's wait for a container or its model (AWS)."""


@dataclass(frozen=True, slots=True)
class JumpStart:
    """A model of SageMaker JumpStart, in a version that is in `jumpstart.json`."""

    model_id: str
    version: str


@dataclass(frozen=True, slots=True)
class Container:
    """A container with SageMaker's contract (`/ping`, `/invocations` on port 8080).

    `image` is `repository:tag`, in AWS's registry of deep learning containers or, with
    `own_registry`, in the account's own. `artifact` is the S3 address of a `model.tar.gz`, if the
    container does not download its model itself.
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
class Vpc:
    """Subnets and security groups of your own, by id, in which the container runs.

    They need a way to S3, ECR and CloudWatch Logs: VPC endpoints, or NAT.
    """

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]

    def __post_init__(self) -> None:
        given: tuple[tuple[Any, str], ...] = (
            (self.subnets, "subnet-"),
            (self.security_groups, "sg-"),
        )
        for ids, begin in given:
            if not isinstance(ids, tuple) or not ids or not all(i.startswith(begin) for i in ids):
                raise ValueError(f"vpc {ids!r}: one or more ids, {_SEVERAL}: ({begin!r}…,)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One metered endpoint; units are in the fields' names.

    `instance_types`: best first; where AWS has no capacity the next one is tried.
    `price_per_hour`: dollars by type, or one number for the first. Others are looked up in the
    Price List on deploy; one that is not listed is unknown, never zero. `price_region`: where these
    prices hold; in another region all are looked up. None: wherever it is deployed. `hours`: its
    schedule, such as `("Mon-Fri 09:00-17:00 Europe/London",)`. `idle_minutes`: time after the last
    prompt until it is ejected, up to two minutes late; None: never. `wake_minutes`: what a prompt
    to the closed meter buys, if its token may top up; None: nothing. `extend_minutes`: what the
    link in a warning adds.

    `instance_count`: instances that serve it; prices are those of one. `inference_ami_version`:
    SageMaker's image of the instance, which brings the GPU driver; None: SageMaker's default for
    the type, on ml.g4dn, ml.g5 and ml.p4d a driver for CUDA 11.4. `vpc`: None runs the container
    outside of your networks. `prompts_at_once`: the cap of its function, taken from the account's
    concurrent Lambda functions; None: no cap.

    `async_queue`: whether there is a stack for long answers; it is deployed by its own name.
    `async_metered`: whether a closed meter leaves the queue without an instance.
    """

    name: str
    model: JumpStart | Container
    instance_types: tuple[str, ...]
    api_resource: str = ""
    price_per_hour: Mapping[str, Decimal] | Decimal | None = None
    price_region: str | None = None
    initial_provision_time_minutes: float | None = None
    startup_timeout_seconds: int = 1800
    startup_credit_minutes: float = 30
    drain_seconds: float = 30
    max_top_up_minutes: float = 1440
    max_minutes_ahead: float = 10080
    warn_minutes: tuple[float, ...] = (10, 2)
    hours: tuple[str, ...] = ()
    idle_minutes: float | None = None
    wake_minutes: float | None = None
    extend_minutes: float = 30
    instance_count: int = 1
    inference_ami_version: str | None = None
    vpc: Vpc | None = None
    prompts_at_once: int | None = None
    async_queue: bool = True
    async_metered: bool = False
    async_concurrency: int = 4
    async_most_instances: int = 1
    async_results_days: int = 7

    def __post_init__(self) -> None:
        for field_name, rule, is_valid in _RULES:
            if not is_valid(getattr(self, field_name)):
                raise self._invalid(field_name, rule)
        if unused := self.prices.keys() - set(self.instance_types):
            raise self._invalid(
                "price_per_hour", f"{min(unused)} is not in instance_types; remove its price"
            )
        try:
            longest = Hours.of(self.hours).longest if self.hours else ZERO
        except ValueError as error:
            raise self._invalid("hours", str(error)) from None
        if longest > timedelta(minutes=self.max_minutes_ahead):
            raise self._invalid("hours", "no window longer than max_minutes_ahead")

    @property
    def async_instances(self) -> int:
        """The most instances behind its queue; it starts with `instance_count`."""
        return max(self.async_most_instances, self.instance_count)

    @property
    def resource(self) -> str:
        """The path segment under which prompts reach it."""
        return self.api_resource or self.name

    def prices_in(self, region: str) -> Mapping[str, Decimal]:
        """Return the configured prices that hold in a region."""
        return self.prices if self.price_region in {None, region} else {}

    @property
    def prices(self) -> Mapping[str, Decimal]:
        """The configured prices by instance type, in dollars per hour."""
        match self.price_per_hour:
            case None:
                return {}
            case Decimal() as first:
                return {self.instance_types[0]: first}
            case several:
                return several

    @property
    def title(self) -> str:
        """Beginning of its stacks' names: `flan-t5` → `FlanT5`."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    def _invalid(self, field_name: str, rule: str) -> ValueError:
        value = getattr(self, field_name)
        return ValueError(f"endpoint {self.name!r}: {field_name} {value!r}: {rule}")


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _above_zero(value: float) -> bool:
    return is_number(value) and value > 0


def _not_negative(value: float) -> bool:
    return is_number(value) and value >= 0


_RULES: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("name", "lower-case letters, digits, inner hyphens", lambda name: bool(_NAME.fullmatch(name))),
    (
        "model",
        "JumpStart(…) or Container(…)",
        lambda model: isinstance(model, JumpStart | Container),
    ),
    ("instance_types", f'{_SEVERAL}: ("ml.g5.xlarge",)', lambda kinds: isinstance(kinds, tuple)),
    ("instance_types", "one or more, each once", lambda kinds: 0 < len(kinds) == len(set(kinds))),
    ("instance_types", f"at most {_MOST_VARIANTS}", lambda kinds: len(kinds) <= _MOST_VARIANTS),
    (
        "instance_types",
        "SageMaker's begin with ml.",
        lambda kinds: all(str(kind).startswith("ml.") for kind in kinds),
    ),
    ("resource", "api_resource is one path segment", lambda path: bool(_RESOURCE.fullmatch(path))),
    (
        "startup_timeout_seconds",
        f"{_SHORTEST_STARTUP} to {_LONGEST_STARTUP}",
        lambda seconds: is_number(seconds) and _SHORTEST_STARTUP <= seconds <= _LONGEST_STARTUP,
    ),
    (
        "price_per_hour",
        'Decimal("1.41"), or {"ml.g5.xlarge": Decimal("1.41")} for some of them; None if unknown',
        lambda given: isinstance(given, Decimal | Mapping | None),
    ),
    (
        "prices",
        f'Decimal("1.41") dollars: not negative, at most {MOST_AN_HOUR}, {PRICE_PLACES} places',
        lambda prices: all(isinstance(one, Decimal) and is_price(one) for one in prices.values()),
    ),
    ("startup_credit_minutes", "a number, not negative", _not_negative),
    ("drain_seconds", "a number, not negative", _not_negative),
    (
        "warn_minutes",
        f"numbers, not negative, {_SEVERAL}: (10,)",
        lambda ahead: isinstance(ahead, tuple) and all(map(_not_negative, ahead)),
    ),
    (
        "hours",
        f"texts {_SEVERAL}",
        lambda texts: isinstance(texts, tuple) and all(isinstance(text, str) for text in texts),
    ),
    (
        "idle_minutes",
        "a number greater than 0; None: never idle",
        lambda minutes: minutes is None or _above_zero(minutes),
    ),
    (
        "wake_minutes",
        "a number greater than 0; None: prompts do not wake it",
        lambda minutes: minutes is None or _above_zero(minutes),
    ),
    ("extend_minutes", "a number greater than 0", _above_zero),
    ("max_top_up_minutes", "a number greater than 0", _above_zero),
    ("max_minutes_ahead", "a number greater than 0", _above_zero),
    (
        "instance_count",
        "a whole number, 1 or more",
        lambda count: is_whole(count) and count >= 1,
    ),
    (
        "inference_ami_version",
        "a name such as al2-ami-sagemaker-inference-gpu-3-1; None: SageMaker's default",
        lambda name: name is None or bool(_AMI.fullmatch(name)),
    ),
    (
        "vpc",
        'Vpc(subnets=("subnet-…",), security_groups=("sg-…",)), or None',
        lambda vpc: vpc is None or isinstance(vpc, Vpc),
    ),
    (
        "prompts_at_once",
        "a whole number, 1 or more; None: no cap",
        lambda cap: cap is None or (is_whole(cap) and cap >= 1),
    ),
    (
        "async_concurrency",
        f"1 to {_MOST_AT_ONCE}",
        lambda calls: isinstance(calls, int) and 1 <= calls <= _MOST_AT_ONCE,
    ),
    ("async_most_instances", "a number greater than 0", _above_zero),
    ("async_results_days", "a number greater than 0", _above_zero),
)
"""The rules of an endpoint, checked in this order: a field, the rule in words, the test."""
