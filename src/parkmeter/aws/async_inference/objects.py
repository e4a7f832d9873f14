"""Objects in the bucket of one endpoint's async prompts: reads, writes, conditional writes.

Knows S3, not the meaning of the objects. A missing bucket means that the stack is not deployed, and
is reported as that.
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
"""How long a presigned address of an object works."""

_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""S3's codes for a conditional write that came second, or at the same moment as another."""

_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    # For presigned addresses; the older signature does not work in every region.
    signature_version="s3v4",
)


def s3_client() -> Any:
    """Return boto3's client of S3, as `Objects` uses it."""
    return boto3.client("s3", config=_PATIENCE)


@dataclass(frozen=True, slots=True)
class Object:
    """An object. `body` is None if it is larger than the reader's limit."""

    body: bytes | None
    content_type: str
    tag: str


class Objects:
    """One bucket. `stack` is the one to deploy if the bucket is missing.

    Every method raises AsyncNotDeployedError in that case.
    """

    def __init__(self, s3: Any, bucket: str, stack: str) -> None:
        self._s3 = s3
        self.bucket = bucket
        self._stack = stack

    def read(self, key: str, most: int) -> Object | None:
        """Return the object of up to `most` bytes; None if there is none."""
        try:
            response = self._call(self._s3.get_object, Key=key)
        except ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise
        with closing(response["Body"]) as stream:
            body = stream.read() if response["ContentLength"] <= most else None
        return Object(body, response["ContentType"], response["ETag"])

    def write(self, key: str, body: bytes, **more: str) -> None:
        """Write the object, replacing any other."""
        self._call(self._s3.put_object, Key=key, Body=body, **more)

    def create(self, key: str, body: bytes) -> bool:
        """Write the object if there is none; return whether it was written."""
        return self._won(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        """Replace the object with this tag; return False if it has changed since."""
        return self._won(key, body, IfMatch=tag)

    def address(self, key: str) -> str:
        """Return an address that works without a token for `ADDRESS_SECONDS`."""
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
