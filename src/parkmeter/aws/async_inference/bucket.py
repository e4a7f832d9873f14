"""The Lambda that lets an async bucket go: behind a custom resource, so it must always answer.

CloudFormation deletes no bucket that holds anything. By the time this is asked, the endpoint that
wrote into the bucket is gone. Knows S3; nothing of meters.
"""

import logging
from typing import Any

import boto3
from botocore.exceptions import ClientError

from parkmeter.aws import custom_resource

log = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: Any) -> None:
    """On Delete empty the bucket `AsyncBucket`; on Create and Update there is nothing to do."""
    bucket = event["ResourceProperties"]["AsyncBucket"]
    try:
        if event["RequestType"] == "Delete":
            empty(boto3.client("s3"), bucket)
    except Exception:
        log.exception("bucket %s could not be emptied", bucket)
        reason = f"{bucket} could not be emptied; empty it by hand. See the log."
        custom_resource.fail(event, bucket, reason)
    else:
        custom_resource.succeed(event, bucket)


def empty(s3: Any, bucket: str) -> None:
    """Delete all objects, a page (of up to 1000) at a time. A bucket that is gone is empty."""
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": item["Key"]} for item in page.get("Contents", ())]:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise RuntimeError(f"{len(errors)} objects stay, the first: {errors[0]}")
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
