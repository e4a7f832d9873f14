"""What passes between the HTTP server and the two protocols, and what is kept of each call."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from simulator.sagemaker.refusals import unsigned


@dataclass(frozen=True)
class Request:
    """One HTTP request; `headers` do not mind the case of names."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def must_be_signed(self) -> None:
        """For SageMaker, that is; what the signature is worth is not looked at.

        Raises:
            RefusedError: it is not.

        """
        signed = self.headers.get("Authorization", "")
        if not signed.startswith("AWS4-HMAC-SHA256 ") or "/sagemaker/aws4_request" not in signed:
            raise unsigned()


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; a body that comes piece by piece is sent as it comes."""

    status: int
    headers: dict[str, str]
    body: bytes | Iterable[bytes] = b""


@dataclass(frozen=True)
class Call:
    """One call that was made. `refused`: the code, if it was; `at`: when it came."""

    operation: str
    endpoint: str
    refused: str
    at: datetime


@dataclass(frozen=True)
class AsyncJob:
    """What InvokeEndpointAsync accepted: to be run by whoever plays S3.

    `container` (host:port) takes `POST /invocations` with `headers`; its input is `body`, or what
    lies at `input_location`.
    """

    endpoint: str
    inference_id: str
    container: str
    headers: dict[str, str]
    body: bytes | None
    input_location: str | None
    output_location: str
    failure_location: str
