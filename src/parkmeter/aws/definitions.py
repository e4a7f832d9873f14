"""Definitions of endpoints: JSON documents in SSM, written by the metered stacks.

Read at run time, so that no stack depends on another. Imports little: the prompt function reads
one too.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.hours import Hours
from parkmeter.core.meter import Price, Spec, span_of
from parkmeter.errors import ConfigError

_log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=90)
"""Longer than one run of the clock looks ahead: while nothing is due, the next tick is enough."""

_SUGGESTED_MINUTES = 30.0
REMEMBER_SECONDS = 60.0
"""Time for which functions that answer requests use what they read. SSM takes about 40 reads a
second of a whole account, and the clock needs them."""

A_PAGE = 10
"""The most that GetParameters and GetParametersByPath give at once (AWS)."""


class Parameters(Protocol):
    """The calls of boto3's SSM client used here."""

    def get_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Queue:
    """The destination of an endpoint's async prompts.

    `name`: the endpoint's, as tokens know it; `endpoint`: its async one on SageMaker; `stack`: the
    stack that creates them, deployed or not. `metered_instances`: the most instances while the
    meter is open, where a closed one leaves none; None: the queue works without a meter.
    """

    name: str
    endpoint: str
    bucket: str
    stack: str
    metered_instances: int | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """The hosting and metering of one endpoint.

    `endpoint`: its name on SageMaker. `configs`: the EndpointConfig of each instance type, the
    preferred one first. `tags`: of the endpoint, beside parkmeter's own. `instance_count`: the
    instances whose price together is that of the spec.
    """

    spec: Spec
    endpoint: str
    configs: Mapping[str, str]
    api_resource: str
    queue: Queue | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_count: int = 1

    @property
    def suggested_minutes(self) -> float:
        """The minutes suggested to a client whose prompt is refused."""
        return min(_SUGGESTED_MINUTES, self.spec.max_top_up.total_seconds() / 60)


class Pages(Protocol):
    """The call of boto3's SSM client that `parameters_below` makes."""

    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Found:
    """The definitions of some endpoints.

    `broken`: those that cannot be read now; `definitions` has their last good one, if any.
    """

    definitions: Mapping[str, Definition]
    broken: frozenset[str] = frozenset()


def definition(ssm: Parameters, path: str, name: str) -> Definition:
    """Return the definition of one endpoint; `path` ends with a slash.

    Raises:
        ConfigError: the document is invalid.

    """
    parameter = ssm.get_parameter(Name=path + name)["Parameter"]
    return definition_from(parameter["Value"], parameter["Name"])


def definitions(ssm: Parameters, path: str) -> dict[str, Definition]:
    """Return all definitions by name, in the order of their names.

    A broken one is logged and left out, so that it does not affect the others.
    """
    found = {}
    for parameter in parameters_below(ssm, path):
        try:
            one = definition_from(parameter["Value"], parameter["Name"])
        except ConfigError:
            _log.exception("a definition is left out")
        else:
            found[one.spec.name] = one
    return dict(sorted(found.items()))


class KnownDefinitions:
    """Definitions by name; where SSM fails or a document is broken, the last good one is used."""

    def __init__(self, ssm: Parameters, path: str) -> None:
        self._ssm = ssm
        self._path = path
        self._good: dict[str, Definition] = {}

    def of(self, names: Iterable[str]) -> Found:
        """Return the present definitions of these endpoints."""
        found: dict[str, Definition] = {}
        broken: set[str] = set()
        wanted = sorted(names)
        for start in range(0, len(wanted), A_PAGE):
            page = wanted[start : start + A_PAGE]
            try:
                self._read(page, found, broken)
            except (BotoCoreError, ClientError):
                _log.exception("definitions cannot be read")
                broken.update(page)
        self._good |= found
        found |= {name: self._good[name] for name in broken & self._good.keys()}
        return Found(found, frozenset(broken))

    def _read(self, page: list[str], found: dict[str, Definition], broken: set[str]) -> None:
        answer = self._ssm.get_parameters(Names=[self._path + name for name in page])
        for parameter in answer["Parameters"]:
            name = parameter["Name"].removeprefix(self._path)
            try:
                found[name] = definition_from(parameter["Value"], parameter["Name"])
            except ConfigError:
                _log.exception("the definition of %s is broken", name)
                broken.add(name)


class RememberedDefinition:
    """The definition of one endpoint, read once a minute at most, whether that succeeds or not.

    `read` reads it; `ticks` is a monotonic clock.
    """

    def __init__(
        self, read: Callable[[], Definition], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._ticks = ticks
        self._read_at = float("-inf")
        self._last: Definition | None = None

    def __call__(self) -> Definition | None:
        """Return the last one that could be read; None if none could."""
        if self._ticks() - self._read_at >= REMEMBER_SECONDS:
            self._read_at = self._ticks()
            try:
                self._last = self._read()
            except (BotoCoreError, ClientError, ConfigError) as error:
                _log.warning("the definition cannot be read: %s", error)
        return self._last


def definition_from(document: str, parameter: str) -> Definition:
    """Parse a metered stack's document; the parameter's name ends with the endpoint's.

    Raises:
        ConfigError: the document is invalid.

    """
    try:
        fields = json.loads(document)
        name = parameter.rpartition("/")[2]
        queued = fields.get("async")
        variants = {variant["instance_type"]: variant for variant in fields["variants"]}
        configs = {name: variant["config"] for name, variant in variants.items()}
        return Definition(
            spec=Spec(
                name=name,
                max_top_up=timedelta(minutes=fields["max_top_up_minutes"]),
                max_ahead=timedelta(minutes=fields["max_minutes_ahead"]),
                startup_credit=timedelta(minutes=fields["startup_credit_minutes"]),
                drain=timedelta(seconds=fields["drain_seconds"]),
                warn_before=tuple(timedelta(minutes=ahead) for ahead in fields["warn_minutes"]),
                prices=dict(_prices(fields, variants)),
                variants=tuple(configs),
                look_again=LOOK_AGAIN,
                hours=Hours.of(texts) if (texts := fields.get("hours")) else None,
                idle=span_of(fields.get("idle_minutes")),
                wake=span_of(fields.get("wake_minutes")),
                extend_by=timedelta(minutes=fields.get("extend_minutes", _SUGGESTED_MINUTES)),
            ),
            endpoint=fields["endpoint"],
            configs=configs,
            api_resource=fields["api_resource"],
            queue=None
            if queued is None
            else Queue(name, **queued, metered_instances=fields.get("async_metered_instances")),
            tags=dict(fields.get("tags", {})),
            instance_count=int(fields.get("instance_count", 1)),
        )
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The SSM parameter {parameter} is not a definition of an endpoint "
            f"({type(error).__name__}: {error}). Deploy the endpoint's MeteredStack again."
        ) from error


def _prices(
    fields: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Price]]:
    """Yield each type's price. Older documents have only one, of the first, at the top level."""
    for number, (name, variant) in enumerate(variants.items()):
        source = variant if number or "price_per_hour" in variant else fields
        # Empty where the Price List does not have it.
        if dollars := source.get("price_per_hour"):
            yield name, Price(Decimal(dollars), source.get("price_source"))


def parameters_below(ssm: Pages, path: str) -> Iterator[Mapping[str, Any]]:
    """Yield every parameter below a path (which ends with a slash), page by page."""
    # Without its slash: SSM takes both forms, moto only this one.
    request: dict[str, Any] = {"Path": path.rstrip("/"), "MaxResults": A_PAGE}
    while True:
        answer = ssm.get_parameters_by_path(**request)
        yield from answer["Parameters"]
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]
