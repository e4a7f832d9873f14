"""The published expiry: an SSM parameter for each endpoint, as the ancestor polled and people edit.

The store is the truth, because a parameter has no conditional write. What is found here and is not
ours is somebody's wish; what is found and is wrong is written anew. Only the clock calls this.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from parkmeter.aws.definitions import parameters_below
from parkmeter.journal import fingerprint
from parkmeter.service import Service
from parkmeter.web.seed_contract import TIME_FORMAT

log = logging.getLogger(__name__)

OPERATOR = "operator"
"""The `who` of an edit: SSM tells nobody's name."""

_LONGEST_QUOTE = 40


class Parameters(Protocol):
    """The calls of boto3's SSM client that are made here."""

    @property
    def exceptions(self) -> Any: ...  # noqa: D102
    def get_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def put_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


class ExpiryParameters:
    """All published expiries of a deployment; `path` ends with a slash."""

    def __init__(self, ssm: Parameters, path: str) -> None:
        self._ssm = ssm
        self._path = path

    def sync(self, service: Service, name: str) -> None:
        """Take over what somebody wrote, and publish the expiry that holds if it is not there.

        Raises:
            StoreBusyError, ClientError, BotoCoreError: to be tried again with the next tick.

        """
        value = self._value(name)
        meter = service.report(name).meter
        if meter.removed or (value is None and not meter.version):
            return
        expires_at = meter.expires_at
        if value is not None and value != published(expires_at):
            expires_at = self._adopted(service, name, value, expires_at)
        if value != published(expires_at):
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

    def _adopted(self, service: Service, name: str, value: str, present: datetime) -> datetime:
        try:
            seen = datetime.strptime(value.strip(), TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            why = (
                f"{value[:_LONGEST_QUOTE]!r} is no expiry; the published one is as "
                f"{published(present)!r} (day-month-year-hours-minutes-seconds, UTC). It was "
                "ignored and overwritten"
            )
            service.warn(name, why, f"malformed:{fingerprint(value)}")
            return present
        return service.adopt(name, seen, OPERATOR)

    def _value(self, name: str) -> str | None:
        try:
            parameter = self._ssm.get_parameter(Name=self._path + name)["Parameter"]
        except self._ssm.exceptions.ParameterNotFound:
            return None
        value: str = parameter["Value"]
        return value


def published(expires_at: datetime) -> str:
    """An expiry as it is published: the ancestor's format, UTC, whole seconds."""
    return expires_at.astimezone(UTC).strftime(TIME_FORMAT)
