"""How a Lambda behind a custom resource answers CloudFormation. Knows that protocol only.

Without an answer a stack hangs for an hour, so whoever is asked must always give one.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

log = logging.getLogger(__name__)

_TRIES = 3
_LONGEST_REASON = 1000
"""Characters; CloudFormation takes answers of 4 KB."""


def succeed(
    event: Mapping[str, Any], physical_id: str, data: Mapping[str, str] | None = None
) -> None:
    """What was asked for is done. `physical_id` names the thing, the same one each time.

    `data`: what the template may ask of it (`Fn::GetAtt`).
    """
    _answer(event, physical_id, "SUCCESS", "", data)


def fail(event: Mapping[str, Any], physical_id: str, reason: str) -> None:
    """What was asked for cannot be done; `reason` says what to do next."""
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
    # The address is CloudFormation's own, signed; it takes no other content type than none.
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
            log.warning("CloudFormation did not take the answer; once more")
            time.sleep(1)
