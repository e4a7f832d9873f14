"""The Lambda behind a custom resource that empties an async bucket; it must always answer.

CloudFormation deletes only empty buckets. By the time this is called, the endpoint that wrote into
the bucket is gone. Knows S3; nothing of meters.
"""

import logging
from typing import Any

import boto3
from botocore.exceptions import ClientError

from parkmeter.aws import custom_resource

log = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: Any) -> None:
    """Empty the bucket `AsyncBucket` on Delete; do nothing on Create and Update."""
    bucket = event["ResourceProperties"]["AsyncBucket"]
    try:
        if event["RequestType"] == "Delete":
            empty(boto3.client("s3"), bucket)
    except Exception:
        log.exception("bucket %s could not be emptied", bucket)
        reason = f"{bucket} could not be emptied. Empty it by hand; see the function's log."
        custom_resource.fail(event, bucket, reason)
    else:
        custom_resource.succeed(event, bucket)


def empty(s3: Any, bucket: str) -> None:
    """Delete all objects, a page (of up to 1000) at a time. A missing bucket counts as empty."""
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": item["Key"]} for item in page.get("Contents", ())]:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise RuntimeError(f"{len(errors)} objects are left, the first: {errors[0]}")
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
