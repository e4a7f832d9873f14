"""The time of the last use of each endpoint: an item in the table `meters` that the clock reads.

Written by the functions that take prompts, at most once a minute each, and only for endpoints with
an idle limit. Its key differs from a meter's, so a writer can be denied everything else. Imports
little: the prompt function writes one.
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
"""The note is taken when a prompt arrives; API Gateway waits for its answer no longer than this."""

_SORT_KEY = "last"


def use_key(name: str) -> str:
    """Return the partition key; no endpoint's name contains `#`."""
    return f"use#{name}"


class UseNote:
    """Writes the last use of one endpoint. `client` takes typed values."""

    def __init__(self, client: Any, table: str, name: str) -> None:
        self._client = client
        self._table = table
        self._name = name
        self._noted_at = NEVER

    def take(self, now: datetime) -> None:
        """Note a prompt at `now`. A failed write is logged and does not delay its answer."""
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
            _log.warning("the use of %s could not be noted: %s", self._name, error)
        else:
            self._noted_at = now


def last_use(client: Any, table: str) -> Callable[[str], datetime | None]:
    """Return a function that finds the latest possible use of an endpoint.

    It returns None where that cannot be read now. `client` takes and gives plain values.
    """

    def find(name: str) -> datetime | None:
        key = {"pk": use_key(name), "sk": _SORT_KEY}
        try:
            found = client.get_item(TableName=table, Key=key).get("Item")
        except (BotoCoreError, ClientError):
            _log.exception("the last use of %s cannot be read, so it is not considered idle", name)
            return None
        if found is None:
            return NEVER
        return datetime.fromisoformat(found["at"]) + _EVERY + _LONGEST_PROMPT

    return find
