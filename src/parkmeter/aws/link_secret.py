"""What the link in a mail is made of on AWS: the secret that signs it, the address it leads to.

The secret is one item of the table `meters`, made by whoever needs it first; the address is written
by the stack of the API, which may not be there. Knows no meters.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

SECRET_PARTITION = "link-secret#"  # noqa: S105 (its place)
"""Partition key; no endpoint's name has such a letter. Only who signs or checks may read it."""

_KEY = {"pk": SECRET_PARTITION, "sk": "secret"}
_BYTES = 32


class Parameters(Protocol):
    """The calls of boto3's SSM client that are made here."""

    @property
    def exceptions(self) -> Any: ...  # noqa: D102
    def get_parameter(self, **request: Any) -> Mapping[str, Any]: ...  # noqa: D102


class LinkSecret:
    """Signs and checks links; read once in a function's life. `client` takes plain values."""

    def __init__(
        self, client: Any, table: str, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._client = client
        self._table = table
        self._random = random
        self._known: bytes | None = None

    def __call__(self) -> bytes:
        """The secret of this deployment; made if there is none yet."""
        if self._known is None:
            self._known = self._kept() or self._made()
        return self._known

    def _kept(self) -> bytes | None:
        found = self._client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        item = found.get("Item")
        return None if item is None else bytes.fromhex(item["secret"])

    def _made(self) -> bytes:
        made = self._random(_BYTES)
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_KEY, "secret": made.hex()},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            # Another function was first, and may have signed with it already.
            return self._kept() or self._made()
        return made


def found_address(ssm: Parameters, parameter: str) -> str | None:
    """Where people reach the API; None where it is not deployed, or cannot be asked for now.

    A warning without its link is worth more than one that comes too late.
    """
    try:
        value: str = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return None
    except (BotoCoreError, ClientError):
        log.exception("the address of the API cannot be read, so a mail has no link")
        return None
    return value.rstrip("/")
