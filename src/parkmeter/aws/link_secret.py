"""The parts of the extend link in a mail on AWS: the signing secret and the address of the API.

The secret is one item of the table `meters`, created on first use; the address is written by the
API's stack, which may not be deployed. Knows no meters.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

SECRET_PARTITION = "link-secret#"  # noqa: S105 (its place)
"""Partition key; no endpoint's name contains `#`. Only functions that sign or check may read it."""

_KEY = {"pk": SECRET_PARTITION, "sk": "secret"}
_BYTES = 32


class Parameters(Protocol):
    """The calls of boto3's SSM client that are made here."""

    @property
    def exceptions(self) -> Any: ...  # noqa: D102
    def get_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


class LinkSecret:
    """The secret that signs links, read once per function. `client` takes plain values."""

    def __init__(
        self, client: Any, table: str, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._client = client
        self._table = table
        self._random = random
        self._cached: bytes | None = None

    def __call__(self) -> bytes:
        """Return the secret of this deployment; it is created if there is none yet."""
        if self._cached is None:
            self._cached = self._stored() or self._created()
        return self._cached

    def _stored(self) -> bytes | None:
        found = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        item = found.get("Item")
        return None if item is None else bytes.fromhex(item["secret"])

    def _created(self) -> bytes:
        made = self._random(_BYTES)
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_KEY, "secret": made.hex()},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            # Another function was first, and may already have signed with its own.
            return self._stored() or self._created()
        return made


def api_address(ssm: Parameters, parameter: str) -> str | None:
    """Return the API's address; None if it is not deployed or cannot be read now.

    A warning without its link is better than one that comes too late.
    """
    try:
        value: str = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return None
    except (BotoCoreError, ClientError):
        log.exception("the address of the API cannot be read, so a mail has no link")
        return None
    return value.rstrip("/")
