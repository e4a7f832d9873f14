"""The published expiry: an SSM parameter for each endpoint, as the ancestor polled and people edit.

The store is the truth, because a parameter has no conditional write. What is found here and is not
ours is somebody's wish; what is found and is wrong is written anew. Only the clock calls this.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from parkmeter.aws.definitions import A_PAGE, parameters_below
from parkmeter.core.journal import OPERATOR, fingerprint
from parkmeter.service.changes import Edit
from parkmeter.service.meters import MeterService
from parkmeter.web.legacy_expiry import TIME_FORMAT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What a parameter says. `id` tells this write of it from every other one."""

    text: str
    id: str
    at: datetime

    @classmethod
    def of(cls, parameter: Mapping[str, Any]) -> Self:
        """From SSM's answer. Versions begin anew when a parameter was deleted; moments do not."""
        at: datetime = parameter["LastModifiedDate"]
        return cls(parameter["Value"], f"{parameter['Version']}:{at.timestamp():.3f}", at)


_LONGEST_QUOTE = 40


class Parameters(Protocol):
    """The calls of boto3's SSM client that are made here."""

    @property
    def exceptions(self) -> Any: ...  # noqa: D102
    def get_parameters(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def put_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


class ExpiryParameters:
    """All published expiries of a deployment; `path` ends with a slash."""

    def __init__(self, ssm: Parameters, path: str) -> None:
        self._ssm = ssm
        self._path = path

    def values_of(self, names: Iterable[str]) -> dict[str, Published]:
        """What is published of these endpoints; several at once, because SSM counts calls."""
        wanted = sorted(self._path + name for name in names)
        found = {}
        for start in range(0, len(wanted), A_PAGE):
            answer = self._ssm.get_parameters(Names=wanted[start : start + A_PAGE])
            for parameter in answer["Parameters"]:
                name = parameter["Name"].removeprefix(self._path)
                found[name] = Published.of(parameter)
        return found

    def sync(self, service: MeterService, name: str, found: Published | None) -> None:
        """Take over what somebody wrote, and publish the expiry that holds if it is not there.

        `found` is what was read a moment ago; None if nothing was.

        Raises:
            StoreBusyError, ClientError, BotoCoreError: to be tried again with the next tick.

        """
        meter = service.report(name).meter
        if meter.removed or (found is None and not meter.version):
            return
        expires_at = meter.expires_at
        if found is not None and found.text != published(expires_at):
            expires_at = self._adopted(service, name, found, expires_at)
        is_published = found is not None and found.text == published(expires_at)
        # A newer wish is not written over: the event of that edit comes, or the next tick.
        if not is_published and found == self.values_of([name]).get(name):
            self._ssm.put_parameter(
                Name=self._path + name,
                Value=published(expires_at),
                Type="String",
                Overwrite=True,
            )

    def withdraw(self, name: str) -> None:
        """Publish nothing of this endpoint any more."""
        try:
            self._ssm.delete_parameter(Name=self._path + name)
        except self._ssm.exceptions.ParameterNotFound:
            log.debug("%s had no published expiry", name)

    def values(self) -> Iterator[tuple[str, str]]:
        """Every published expiry: endpoint and text, page by page."""
        for parameter in parameters_below(self._ssm, self._path):
            yield parameter["Name"].removeprefix(self._path), parameter["Value"]

    def endpoint_of(self, parameter: str) -> str | None:
        """Whose expiry a parameter is, if it is one of ours."""
        name = parameter.removeprefix(self._path)
        return None if name == parameter or not name or "/" in name else name

    def _adopted(
        self, service: MeterService, name: str, found: Published, present: datetime
    ) -> datetime:
        try:
            seen = datetime.strptime(found.text.strip(), TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            why = (
                f"{found.text[:_LONGEST_QUOTE]!r} is no expiry; the published one is as "
                f"{published(present)!r} (day-month-year-hours-minutes-seconds, UTC). It was "
                "ignored and overwritten"
            )
            service.warn(name, why, f"malformed:{fingerprint(found.text)}")
            return present
        return service.adopt(name, seen, Edit(found.id, found.at, OPERATOR))


def published(expires_at: datetime) -> str:
    """An expiry as it is published: the ancestor's format, UTC, whole seconds."""
    return expires_at.astimezone(UTC).strftime(TIME_FORMAT)
