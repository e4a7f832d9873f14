"""The answer of a custom resource's Lambda to CloudFormation. Knows that protocol only.

Without an answer a stack hangs for an hour, so a handler must always give one.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

from parkmeter.aws.emf import failed_resource_line

log = logging.getLogger(__name__)

_TRIES = 3
_LONGEST_REASON = 1000
"""Characters; CloudFormation takes answers of up to 4 KB."""


def succeed(
    event: Mapping[str, Any], physical_id: str, data: Mapping[str, str] | None = None
) -> None:
    """Report success. `physical_id` identifies the resource and is the same each time.

    `data`: attributes that the template may read (`Fn::GetAtt`).
    """
    _answer(event, physical_id, "SUCCESS", "", data)


def fail(event: Mapping[str, Any], physical_id: str, reason: str) -> None:
    """Report failure, also as a metric; `reason` says what to do next."""
    deployment = os.environ.get("PARKMETER_PREFIX", "")
    print(failed_resource_line(deployment, datetime.now(UTC)))  # noqa: T201 (for CloudWatch)
    _answer(event, physical_id, "FAILED", reason[:_LONGEST_REASON])


def _answer(
    event: Mapping[str, Any],
    physical_id: str,
    status: str,
    reason: str,
    data: Mapping[str, str] | None = None,
) -> None:
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": physical_id,
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
        **({"Data": data} if data else {}),
    }
    # The address is signed by CloudFormation, for an empty content type.
    request = Request(  # noqa: S310
        event["ResponseURL"],
        data=json.dumps(body).encode(),
        method="PUT",
        headers={"Content-Type": ""},
    )
    for left in reversed(range(_TRIES)):
        try:
            with urlopen(request, timeout=10):  # noqa: S310
                return
        except OSError:
            if not left:
                raise
            log.warning("CloudFormation did not take the answer; retrying")
            time.sleep(1)
