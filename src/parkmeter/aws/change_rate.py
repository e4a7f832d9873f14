"""The rate of changes that one token may make, counted in the table `meters`.

Each change is a transaction, an entry that is kept for good, and a run of the clock, which others
need too. Functions come and go, so the count is an item for each token, kind and minute; it expires
soon after. Knows no meter.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.api.change_rate import TooManyChangesError

log = logging.getLogger(__name__)

A_MINUTE = 300
"""Top-ups of one token, and as many ejects: the burst of the local gateway."""

_MINUTE = timedelta(minutes=1)
_KEPT = timedelta(hours=1)


class CountedChanges:
    """Implements `api.dependencies.Rate`. `client` takes plain values."""

    def __init__(self, client: Any, table: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._table = table
        self._now = now

    def take(self, token_id: str, kind: str = "change") -> None:
        """Count a change of this kind.

        One that cannot be counted is allowed: an eject must not depend on it.

        Raises:
            TooManyChangesError: the token has made as many as it may in this minute.

        """
        now = self._now()
        minute = now.replace(second=0, microsecond=0)
        try:
            self._client.update_item(
                TableName=self._table,
                # No endpoint's name contains `#`.
                Key={"pk": f"changes#{token_id}", "sk": f"{kind}#{minute.isoformat()}"},
                UpdateExpression="ADD made :one SET #ttl = :ttl",
                ConditionExpression="attribute_not_exists(made) OR made < :most",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":one": 1,
                    ":most": A_MINUTE,
                    ":ttl": int((minute + _KEPT).timestamp()),
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            seconds = max(1, round((minute + _MINUTE - now).total_seconds()))
            raise TooManyChangesError(
                burst=A_MINUTE, per_second=A_MINUTE / _MINUTE.total_seconds(), seconds=seconds
            ) from None
        except (BotoCoreError, ClientError) as error:
            log.warning("a change could not be counted: %s", error)
