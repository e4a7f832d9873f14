"""The last lines of an endpoint's container log, from CloudWatch; they cannot be followed.

SageMaker writes one log group per endpoint. It can be searched forwards only, so the end is found
by searching longer and longer spans before now. Knows nothing of endpoints but the group.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.errors import DriverError, LogsElsewhereError

_SPANS = (
    timedelta(minutes=1),
    timedelta(minutes=15),
    timedelta(hours=4),
    timedelta(days=2),
    timedelta(days=30),
)
_SECONDS = 15.0
"""For the whole search: API Gateway waits 29 s for the answer."""

_LARGEST = 2 * 2**20
"""Bytes of an answer; Lambda returns at most 6 MB, a third less as base64."""


def log_group(sagemaker_endpoint: str) -> str:
    """Return the log group of an endpoint's container (`stacks/names.py`)."""
    return f"/aws/sagemaker/Endpoints/{sagemaker_endpoint}"


class CloudWatchLogs:
    """Implements `ports.Logs` over boto3's client for CloudWatch Logs, made when first needed.

    `groups`: the log group of each endpoint. `ticks` is a monotonic clock.
    """

    def __init__(
        self,
        client: Callable[[], Any],
        groups: Mapping[str, str],
        now: Callable[[], datetime],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._groups = groups
        self._now = now
        self._ticks = ticks

    def open(self, name: str, lines: int, *, follow: bool) -> "WholeLog":
        """See `ports.Logs`."""
        group = self._groups[name]
        if follow:
            raise LogsElsewhereError(group, "Logs cannot be followed here.")
        client, now, deadline = self._client(), self._now(), self._ticks() + _SECONDS
        found: deque[str] | None = None
        try:
            for span in _SPANS:
                since = round((now - span).timestamp() * 1000)
                latest = self._since(client, group, since, lines, deadline)
                found = found if latest is None else latest
                if latest is None or len(latest) == lines or _size(latest) >= _LARGEST:
                    break
        except client.exceptions.ResourceNotFoundException:
            return WholeLog(b"")  # the group is created with the first line
        except (BotoCoreError, ClientError) as error:
            raise DriverError("CloudWatch did not return the log. Try again soon.") from error
        if found is None:
            raise LogsElsewhereError(group, "The log is too long to search here.")
        return WholeLog(_text(found))

    def _since(
        self, client: Any, group: str, milliseconds: int, lines: int, deadline: float
    ) -> deque[str] | None:
        """Return the last lines since then; None if time ran out before the end of the log."""
        found: deque[str] = deque(maxlen=lines)
        request = {"logGroupName": group, "startTime": milliseconds}
        while self._ticks() < deadline:
            answer = client.filter_log_events(**request)
            found.extend(event["message"].rstrip("\n") for event in answer["events"])
            _shorten(found)
            if "nextToken" not in answer:
                return found
            request["nextToken"] = answer["nextToken"]
        return None


class WholeLog:
    """Implements `ports.Log` for a complete text."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def read(self) -> bytes:
        """See `ports.Log`."""
        text, self._text = self._text, b""
        return text

    def close(self) -> None:
        """See `ports.Log`: there is nothing to close."""


def _size(lines: deque[str]) -> int:
    return sum(map(len, lines))


def _shorten(lines: deque[str]) -> None:
    """Drop the first lines that an answer has no room for: a container may print megabytes."""
    size = _size(lines)
    while lines and size - len(lines[0]) >= _LARGEST:
        size -= len(lines.popleft())


def _text(lines: deque[str]) -> bytes:
    """Join the lines, leaving out the first ones if they are too many bytes."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return text if len(text) <= _LARGEST else text[-_LARGEST:].partition(b"\n")[2]
