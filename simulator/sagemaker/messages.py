"""HTTP requests and responses of both protocols, and the records of calls and jobs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from simulator.sagemaker.refusals import unsigned

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/")


@dataclass(frozen=True)
class Request:
    """One HTTP request; `headers` ignores the case of names."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def must_be_signed(self) -> None:
        """Check for a signature for SageMaker; its value is not verified.

        Raises:
            RefusedError: there is none.

        """
        signed = self.headers.get("Authorization", "")
        if not signed.startswith("AWS4-HMAC-SHA256 ") or "/sagemaker/aws4_request" not in signed:
            raise unsigned()

    @property
    def region(self) -> str | None:
        """The region that the request was signed for; None without a signature."""
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        return scope and scope[1]


@dataclass(frozen=True)
class Answer:
    """One HTTP response; an iterable body is streamed."""

    status: int
    headers: dict[str, str]
    body: bytes | Iterable[bytes] = b""


@dataclass(frozen=True)
class Call:
    """One call; `refused` is the error code or ""."""

    operation: str
    endpoint: str
    refused: str
    at: datetime


@dataclass(frozen=True)
class AsyncJob:
    """A job that InvokeEndpointAsync accepted, run by `AsyncInference` or by a test.

    `container` (host:port) takes `POST /invocations` with `headers`; the input is `body`, or the
    object at `input_location`.
    """

    endpoint: str
    inference_id: str
    container: str
    headers: dict[str, str]
    body: bytes | None
    input_location: str | None
    output_location: str
    failure_location: str
