"""The published expiry: an SSM parameter for each endpoint, which operators may edit.

The store is the truth, because a parameter has no conditional write. A value found here that is not
ours is an edit to adopt; an invalid one is overwritten. Only the clock calls this.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

from parkmeter.aws.definitions import A_PAGE, parameters_below
from parkmeter.core.journal import OPERATOR, fingerprint
from parkmeter.service.changes import Edit
from parkmeter.service.meters import MeterService
from parkmeter.web.legacy_expiry import TIME_FORMAT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """The value of a parameter. `id` distinguishes this write from every other."""

    text: str
    id: str
    at: datetime

    @classmethod
    def of(cls, parameter: Mapping[str, Any]) -> Self:
        """Read SSM's answer. `id` has the time too: a recreated parameter restarts its versions."""
        at: datetime = parameter["LastModifiedDate"]
        return cls(parameter["Value"], f"{parameter['Version']}:{at.timestamp():.3f}", at)


_LONGEST_QUOTE = 40


PUBLISHED_EVERY = timedelta(milliseconds=500)
"""Between two writes of a run: SSM takes few a second of an account (3 by default, unpublished)."""


class Parameters(Protocol):
    """The calls of boto3's SSM client used here."""

    @property
    def exceptions(self) -> Any: ...  # noqa: D102
    def get_parameters(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def get_parameters_by_path(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def put_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102
    def delete_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


class ExpiryParameters:
    """The published expiries of a deployment; `path` ends with a slash."""

    def __init__(self, ssm: Parameters, path: str) -> None:
        self._ssm = ssm
        self._path = path

    def values_of(self, names: Iterable[str]) -> dict[str, Published]:
        """Return what is published of these endpoints, ten per call: SSM limits their rate."""
        wanted = sorted(self._path + name for name in names)
        found = {}
        for start in range(0, len(wanted), A_PAGE):
            answer = self._ssm.get_parameters(Names=wanted[start : start + A_PAGE])
            for parameter in answer["Parameters"]:
                name = parameter["Name"].removeprefix(self._path)
                found[name] = Published.of(parameter)
        return found

    def adopt(self, service: MeterService, name: str, found: Published | None) -> None:
        """Adopt an operator's edit; `found` was read a moment ago, None if there was no value.

        Raises:
            StoreBusyError, ClientError, BotoCoreError: the next tick retries.

        """
        meter = service.report(name).meter
        if not meter.removed and found is not None and found.text != published(meter.expires_at):
            self._adopt(service, name, found, meter.expires_at)

    def publish(self, service: MeterService, name: str, found: Published | None) -> None:
        """Publish the present expiry, unless it is, or the value is no longer the one `found`.

        Raises:
            StoreBusyError, ClientError, BotoCoreError: the next tick retries.

        """
        meter = service.report(name).meter
        if meter.removed or (found is None and not meter.version):
            return
        is_published = found is not None and found.text == published(meter.expires_at)
        # A newer edit is not overwritten: its event comes, or the next tick finds it.
        if not is_published and found == self.values_of([name]).get(name):
            self._ssm.put_parameter(
                Name=self._path + name,
                Value=published(meter.expires_at),
                Type="String",
                Overwrite=True,
            )

    def withdraw(self, name: str) -> None:
        """Delete the published expiry of this endpoint."""
        try:
            self._ssm.delete_parameter(Name=self._path + name)
        except self._ssm.exceptions.ParameterNotFound:
            log.debug("%s had no published expiry", name)

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield every published expiry: endpoint and text, page by page."""
        for parameter in parameters_below(self._ssm, self._path):
            yield parameter["Name"].removeprefix(self._path), parameter["Value"]

    def endpoint_of(self, parameter: str) -> str | None:
        """Return the endpoint of a parameter's name; None if it is not one of these."""
        name = parameter.removeprefix(self._path)
        return None if name == parameter or not name or "/" in name else name

    def _adopt(self, service: MeterService, name: str, found: Published, present: datetime) -> None:
        try:
            seen = datetime.strptime(found.text.strip(), TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            why = (
                f"{found.text[:_LONGEST_QUOTE]!r} is not an expiry; the published form is "
                f"{published(present)!r} (day-month-year-hours-minutes-seconds, UTC). It was "
                "ignored and overwritten"
            )
            service.warn(name, why, f"malformed:{fingerprint(found.text)}")
        else:
            service.adopt(name, seen, Edit(found.id, found.at, OPERATOR))


class Publications:
    """The expiries that a run has yet to publish, in turn and not all at once.

    `publish` writes one; `now` is the time. May be used from any thread.
    """

    def __init__(
        self, publish: Callable[[str, Published | None], None], now: Callable[[], datetime]
    ) -> None:
        self._publish = publish
        self._now = now
        self._waiting: dict[str, Published | None] = {}
        self._next = now()

    def add(self, name: str, found: Published | None) -> datetime:
        """Add one; return when the next one is due."""
        self._waiting[name] = found
        return max(self._next, self._now())

    def take_turn(self) -> datetime | None:
        """Publish one; return when the next one is due, None if none is left. Raises as publish."""
        if not self._waiting:
            return None
        if self._now() < self._next:
            return self._next  # another thread took the turn that `add` had just named
        self._next = self._now() + PUBLISHED_EVERY
        name, found = self._waiting.popitem()
        try:
            self._publish(name, found)
        except Exception:
            log.exception("%s: its expiry is not published yet", name)
            self._waiting.setdefault(name, found)
            raise
        return self._next if self._waiting else None


def published(expires_at: datetime) -> str:
    """Return an expiry in its published form: UTC, whole seconds."""
    return expires_at.astimezone(UTC).strftime(TIME_FORMAT)
