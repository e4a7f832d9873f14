"""When an endpoint was used last: one item for each in the table `meters`, for the clock to read.

Written by what takes prompts, at most once a minute each, and only for endpoints that may be idle.
Its key is no meter's, so that who writes it can be kept from all else. Knows the table and the
time. Imports little: a function that starts for a prompt writes one.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.meter import NEVER

_log = logging.getLogger(__name__)

_EVERY = timedelta(minutes=1)
_LONGEST_PROMPT = timedelta(seconds=30)
"""It is noted as it comes, and API Gateway waits no longer for its answer."""

_SORT_KEY = "last"


def use_key(name: str) -> str:
    """The partition key; no endpoint's name has a `#`."""
    return f"use#{name}"


class UseNote:
    """Notes that one endpoint is used. `client` takes values with their types."""

    def __init__(self, client: Any, table: str, name: str) -> None:
        self._client = client
        self._table = table
        self._name = name
        self._noted_at = NEVER

    def take(self, now: datetime) -> None:
        """A prompt came. What cannot be written does not keep it from its answer."""
        if now - self._noted_at < _EVERY:
            return
        item = {
            "pk": {"S": use_key(self._name)},
            "sk": {"S": _SORT_KEY},
            "at": {"S": now.isoformat()},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item)
        except (BotoCoreError, ClientError) as error:
            _log.warning("that %s is used could not be noted: %s", self._name, error)
        else:
            self._noted_at = now


def last_use(client: Any, table: str) -> Callable[[str], datetime | None]:
    """Finds until when an endpoint may have been used; None where that cannot be read now.

    `client` takes and gives plain values.
    """

    def find(name: str) -> datetime | None:
        key = {"pk": use_key(name), "sk": _SORT_KEY}
        try:
            found = client.get_item(TableName=table, Key=key).get("Item")
        except (BotoCoreError, ClientError):
            _log.exception("when %s was used last cannot be read, so it is not idle", name)
            return None
        if found is None:
            return NEVER
        return datetime.fromisoformat(found["at"]) + _EVERY + _LONGEST_PROMPT

    return find
