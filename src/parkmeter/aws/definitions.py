"""Definitions of endpoints: what the metered stacks write to SSM, one JSON document for each.

Read at run time, so that no stack needs anything of another. Imports little: a function that starts
for a prompt reads one too.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.hours import Hours
from parkmeter.core.meter import Price, Spec
from parkmeter.errors import ConfigError

_log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=90)
"""Longer than one run of the clock looks ahead: while nothing is due, the next tick will do."""

_SUGGESTED_MINUTES = 30.0
A_PAGE = 10
"""The most that GetParameters and GetParametersByPath give at once (AWS)."""


class Parameters(Protocol):
    """The calls of boto3's SSM client that are made here."""

    def get_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the async prompts of one endpoint go, if they go anywhere.

    `name`: the endpoint's, as tokens know it; `endpoint`: its async one on SageMaker; `stack`: what
    makes all this, deployed or not.
    """

    name: str
    endpoint: str
    bucket: str
    stack: str


@dataclass(frozen=True, slots=True)
class Definition:
    """How one endpoint is hosted and metered.

    `endpoint`: its name on SageMaker. `configs`: the EndpointConfig of each instance type, the
    preferred one first.
    """

    spec: Spec
    endpoint: str
    configs: Mapping[str, str]
    api_resource: str
    queue: Queue | None = None

    @property
    def suggested_minutes(self) -> float:
        """What a client is told to top up."""
        return min(_SUGGESTED_MINUTES, self.spec.max_top_up.total_seconds() / 60)


class Pages(Protocol):
    """The call that `parameters_below` makes."""

    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Found:
    """What is defined of some endpoints.

    `broken`: could not be read at present; among the definitions if it could be before.
    """

    definitions: Mapping[str, Definition]
    broken: frozenset[str] = frozenset()


def definition(ssm: Parameters, path: str, name: str) -> Definition:
    """The definition of one endpoint; `path` ends with a slash.

    Raises:
        ConfigError: it is not one.

    """
    parameter = ssm.get_parameter(Name=path + name)["Parameter"]
    return definition_from(parameter["Value"], parameter["Name"])


def definitions(ssm: Parameters, path: str) -> dict[str, Definition]:
    """All of them by name, in the order of their names.

    One that cannot be read is logged and left out: the others must not suffer for it.
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
    """Definitions by name; where SSM fails or a document is broken, the last good one serves on."""

    def __init__(self, ssm: Parameters, path: str) -> None:
        self._ssm = ssm
        self._path = path
        self._good: dict[str, Definition] = {}

    def of(self, names: Iterable[str]) -> Found:
        """What is defined of these endpoints at present."""
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


def definition_from(document: str, parameter: str) -> Definition:
    """What a metered stack wrote; `parameter` is where, and ends with the endpoint's name.

    Raises:
        ConfigError: this is none of its documents.

    """
    try:
        said = json.loads(document)
        name = parameter.rpartition("/")[2]
        queued = said.get("async")
        variants = {variant["instance_type"]: variant for variant in said["variants"]}
        configs = {name: variant["config"] for name, variant in variants.items()}
        return Definition(
            spec=Spec(
                name=name,
                max_top_up=timedelta(minutes=said["max_top_up_minutes"]),
                max_ahead=timedelta(minutes=said["max_minutes_ahead"]),
                startup_credit=timedelta(minutes=said["startup_credit_minutes"]),
                drain=timedelta(seconds=said["drain_seconds"]),
                warn_before=tuple(timedelta(minutes=ahead) for ahead in said["warn_minutes"]),
                prices=dict(_prices(said, variants)),
                variants=tuple(configs),
                look_again=LOOK_AGAIN,
                hours=Hours.of(texts) if (texts := said.get("hours")) else None,
                idle=_span(said.get("idle_minutes")),
                wake=_span(said.get("wake_minutes")),
                extend_by=timedelta(minutes=said.get("extend_minutes", _SUGGESTED_MINUTES)),
            ),
            endpoint=said["endpoint"],
            configs=configs,
            api_resource=said["api_resource"],
            queue=None if queued is None else Queue(name, **queued),
        )
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The SSM parameter {parameter} is no definition of an endpoint "
            f"({type(error).__name__}: {error}). Deploy the endpoint's MeteredStack again."
        ) from error


def _prices(
    said: Mapping[str, Any], variants: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Price]]:
    """What each type costs. At the top is the first one's, which once was all there was."""
    for number, (name, variant) in enumerate(variants.items()):
        tells = variant if number or "price_per_hour" in variant else said
        # Empty where the Price List was asked and did not know.
        if dollars := tells.get("price_per_hour"):
            yield name, Price(Decimal(dollars), tells.get("price_source"))


def _span(minutes: float | None) -> timedelta | None:
    return None if minutes is None else timedelta(minutes=minutes)


def parameters_below(ssm: Pages, path: str) -> Iterator[Mapping[str, Any]]:
    """Every parameter below a path (which ends with a slash), page by page."""
    # Without its slash: SSM takes a path either way, moto this one only.
    request: dict[str, Any] = {"Path": path.rstrip("/"), "MaxResults": A_PAGE}
    while True:
        answer = ssm.get_parameters_by_path(**request)
        yield from answer["Parameters"]
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]
