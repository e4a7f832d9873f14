"""What an endpoint's container printed, from CloudWatch: the last lines, not followed.

SageMaker writes it into one log group per endpoint. It can be searched forwards only, so the end is
found by looking at longer and longer times before now. Knows nothing of endpoints but the group.
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
"""For all of the search: API Gateway waits 29 for the whole answer."""

_LARGEST = 2 * 2**20
"""Bytes of an answer; Lambda gives 6 MB, a third less as base64."""


def log_group(sagemaker_endpoint: str) -> str:
    """Where SageMaker puts the output of an endpoint's container (`stacks/names.py`)."""
    return f"/aws/sagemaker/Endpoints/{sagemaker_endpoint}"


class CloudWatchLogs:
    """Implements `ports.Logs` over boto3's client for CloudWatch Logs, made when it is needed.

    `groups`: the log group of each endpoint. `ticks` is a clock that only goes forward.
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
        client, now, give_up = self._client(), self._now(), self._ticks() + _SECONDS
        found: deque[str] | None = None
        try:
            for span in _SPANS:
                since = round((now - span).timestamp() * 1000)
                latest = self._since(client, group, since, lines, give_up)
                found = found if latest is None else latest
                if latest is None or len(latest) == lines:
                    break
        except client.exceptions.ResourceNotFoundException:
            return WholeLog(b"")  # the group is made with the first line
        except (BotoCoreError, ClientError) as error:
            raise DriverError("CloudWatch did not give the log. Try again in a moment.") from error
        if found is None:
            raise LogsElsewhereError(group, "It prints more than can be searched here.")
        return WholeLog(_text(found))

    def _since(
        self, client: Any, group: str, milliseconds: int, lines: int, give_up: float
    ) -> deque[str] | None:
        """The last lines since then; None if there was no time to read as far as the end."""
        found: deque[str] = deque(maxlen=lines)
        request = {"logGroupName": group, "startTime": milliseconds}
        while self._ticks() < give_up:
            answer = client.filter_log_events(**request)
            found.extend(event["message"].rstrip("\n") for event in answer["events"])
            if "nextToken" not in answer:
                return found
            request["nextToken"] = answer["nextToken"]
        return None


class WholeLog:
    """Implements `ports.Log` for text that is all there is."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def read(self) -> bytes:
        """See `ports.Log`."""
        text, self._text = self._text, b""
        return text

    def close(self) -> None:
        """See `ports.Log`: nothing is held."""


def _text(lines: deque[str]) -> bytes:
    """These lines, without the first ones if they are too many bytes."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return text if len(text) <= _LARGEST else text[-_LARGEST:].partition(b"\n")[2]
