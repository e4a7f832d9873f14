"""HTTP requests and responses of both protocols, and the records of calls and jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from simulator.iam.wire import Signature, signature_of
from simulator.sagemaker.refusals import unsigned


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
    def signature(self) -> Signature | None:
        """Who signed it, and for which region; None without a signature."""
        return signature_of(self.headers.get("Authorization", ""), "")

    @property
    def access_key(self) -> str:
        """The key that signed it; empty without a signature."""
        return "" if self.signature is None else self.signature.access_key


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
    object at `input_location`. `role` is the container's; `topics` are those of its config.
    """

    endpoint: str
    inference_id: str
    container: str
    headers: dict[str, str]
    body: bytes | None
    input_location: str | None
    output_location: str
    failure_location: str
    role: str = ""
    topics: Mapping[str, str] = field(default_factory=dict)
