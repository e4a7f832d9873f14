"""The time of the clock's last completed tick: an item of the table `meters` read by `/health`.

Its key cannot be an endpoint's. Knows the table and the time; not what the clock does.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

ALIVE_WITHIN = timedelta(minutes=5)
"""The same as the alarm's (`stacks/alarms.py`): a tick comes every minute and may take longer."""

_KEY = {"pk": "clock#", "sk": "heartbeat"}
_REMEMBER_SECONDS = 10.0
"""`/health` needs no token, so frequent requests must not cost a read each."""


class Heartbeat:
    """The clock's liveness record. `client` takes and gives plain values."""

    def __init__(
        self, client: Any, table: str, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._table = table
        self._ticks = ticks
        self._read_at = float("-inf")
        self._last: datetime | None = None

    def beat(self, now: datetime) -> None:
        """Record that a tick was completed at `now`."""
        item = {**_KEY, "at": now.isoformat()}
        self._client.put_item(TableName=self._table, Item=item)

    def alive(self, now: datetime) -> bool:
        """Return whether one was within `ALIVE_WITHIN`; read every ten seconds at most."""
        if self._ticks() - self._read_at >= _REMEMBER_SECONDS:
            try:
                self._last = self.last()
            except (BotoCoreError, ClientError):
                return False
            self._read_at = self._ticks()
        return self._last is not None and now - self._last < ALIVE_WITHIN

    def last(self) -> datetime | None:
        """Return the time of the last one, read now; None before the first."""
        found = self._client.get_item(TableName=self._table, Key=_KEY).get("Item")
        return None if found is None else datetime.fromisoformat(found["at"])
