"""The Lambda that lets an async bucket go: behind a custom resource, so it must always answer.

CloudFormation deletes no bucket that holds anything. By the time this is asked, the endpoint that
wrote into the bucket is gone. Knows CloudFormation's protocol and S3; nothing else of parkmeter.
"""

import json
import logging
from typing import Any
from urllib.request import Request, urlopen

import boto3
from botocore.exceptions import ClientError

_LOG = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: Any) -> None:
    """On Delete empty the bucket `AsyncBucket`; on Create and Update there is nothing to do."""
    bucket = event["ResourceProperties"]["AsyncBucket"]
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] == "Delete":
            empty(boto3.client("s3"), bucket)
    except Exception:  # noqa: BLE001 (whatever it was: without an answer the stack hangs)
        _LOG.exception("bucket %s could not be emptied", bucket)
        status, reason = "FAILED", f"{bucket} could not be emptied; empty it by hand. See the log."
    _answer(event, status, reason)


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


def _answer(event: dict[str, Any], status: str, reason: str) -> None:
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event["ResourceProperties"]["AsyncBucket"],
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The address is CloudFormation's own, signed; it takes no other content type than none.
    request = Request(  # noqa: S310
        event["ResponseURL"],
        data=json.dumps(body).encode(),
        method="PUT",
        headers={"Content-Type": ""},
    )
    with urlopen(request, timeout=30):  # noqa: S310
        pass
