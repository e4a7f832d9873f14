"""The bucket of one endpoint's async prompts: read, write, and write only if nobody else did.

Knows S3 and nothing of what the objects mean. A bucket that is not there is a stack that is not
deployed, and said so.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from parkmeter.aws.async_inference.errors import AsyncNotDeployedError

ADDRESS_SECONDS = 300
"""So long the address of an object works, for whoever has it."""

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""What S3 says when a conditional write came second, or at the same moment as another."""

_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    # Addresses are signed with it; the older way does not work in every region.
    signature_version="s3v4",
)


def s3_client() -> Any:
    """boto3's client of S3, as `Objects` takes it."""
    return boto3.client("s3", config=_PATIENCE)


@dataclass(frozen=True, slots=True)
class Object:
    """What lies under a key. `body` is None if it is larger than was asked for."""

    body: bytes | None
    content_type: str
    tag: str


class Objects:
    """One bucket. `stack` is the one to deploy if there is none.

    Every method raises AsyncNotDeployedError in that case.
    """

    def __init__(self, s3: Any, bucket: str, stack: str) -> None:
        self._s3 = s3
        self.bucket = bucket
        self._stack = stack

    def read(self, key: str, most: int) -> Object | None:
        """What lies there, up to `most` bytes; None if nothing does."""
        try:
            said = self._call(self._s3.get_object, Key=key)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise
        with closing(said["Body"]) as stream:
            body = stream.read() if said["ContentLength"] <= most else None
        return Object(body, said["ContentType"], said["ETag"])

    def write(self, key: str, body: bytes, **more: str) -> None:
        """Put this there, whatever lies there."""
        self._call(self._s3.put_object, Key=key, Body=body, **more)

    def create(self, key: str, body: bytes) -> bool:
        """Put this there if nothing is; whether it was done."""
        return self._won(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        """Put this there if that is still what lies there; whether it was done."""
        return self._won(key, body, IfMatch=tag)

    def address(self, key: str) -> str:
        """Where anybody can fetch it, without a token, for `ADDRESS_SECONDS`."""
        place = {"Bucket": self.bucket, "Key": key}
        address: str = self._s3.generate_presigned_url("get_object", place, ADDRESS_SECONDS)
        return address

    def _won(self, key: str, body: bytes, **condition: str) -> bool:
        try:
            self.write(key, body, **condition)
        except ClientError as error:
            if _code(error) in _LOST:
                return False
            raise
        return True

    def _call(self, operation: Callable[..., Any], **request: Any) -> Any:
        try:
            return operation(Bucket=self.bucket, **request)
        except ClientError as error:
            if _code(error) == "NoSuchBucket":
                raise AsyncNotDeployedError(self._stack) from None
            raise


def _code(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code
