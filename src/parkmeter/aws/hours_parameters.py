"""The schedules of all endpoints with hours: an SSM parameter each, written by the metered stack.

A settled meter is in no index, so without these its next window would be missed; and reading every
definition each minute would cost more than the rest of a tick. Knows no meters.
"""

import json
import logging
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.definitions import Pages, parameters_below
from parkmeter.core.hours import Hours

_log = logging.getLogger(__name__)


class HoursParameters:
    """The schedules of a deployment; `path` ends with a slash."""

    def __init__(self, ssm: Pages, path: str) -> None:
        self._ssm = ssm
        self._path = path
        self._known: dict[str, Hours] = {}

    def due(self, now: datetime, ahead: timedelta) -> set[str]:
        """Return the endpoints with a window that is on or begins within `ahead`.

        Where SSM does not answer, the values read last are used.
        """
        try:
            self._known = self._read()
        except (BotoCoreError, ClientError):
            _log.exception("hours cannot be read; the last known ones are used")
        return {
            name
            for name, hours in self._known.items()
            if hours.window(now) is not None or hours.next_window(now).begin <= now + ahead
        }

    def _read(self) -> dict[str, Hours]:
        found = {}
        for parameter in parameters_below(self._ssm, self._path):
            name = parameter["Name"].removeprefix(self._path)
            try:
                found[name] = Hours.of(json.loads(parameter["Value"]))
            except (TypeError, ValueError):
                _log.exception("the hours of %s are left out", name)
        return found
