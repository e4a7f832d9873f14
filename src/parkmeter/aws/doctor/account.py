"""The AWS account under examination: its clients, and findings for calls that fail.

Calls only read. Their errors are redacted, because people paste findings into tickets.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.finding import Finding, note
from parkmeter.drivers.sagemaker_errors import redact

_PATIENCE = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=20,
)

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class Account:
    """An account in one region, with the caller's credentials.

    Raises:
        ValueError: no region is given or configured.

    """

    def __init__(self, region: str | None = None, session: boto3.Session | None = None) -> None:
        self.session = session or boto3.Session(region_name=region)
        self.region: str = region or self.session.region_name
        if not self.region:
            raise ValueError("No region is configured. Name it with --region.")
        self._creating = threading.Lock()

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a new client, in this region unless another is given."""
        with self._creating:  # sessions are not thread-safe, clients are
            return self.session.client(service, region_name=region or self.region, config=_PATIENCE)

    @cached_property
    def sagemaker(self) -> Any:
        """SageMaker's control plane."""
        return self.client("sagemaker")

    @cached_property
    def functions(self) -> Any:
        """Lambda."""
        return self.client("lambda")

    @cached_property
    def ssm(self) -> Any:
        """Parameter store."""
        return self.client("ssm")

    @cached_property
    def stacks(self) -> Any:
        """CloudFormation."""
        return self.client("cloudformation")

    @cached_property
    def dynamodb(self) -> Any:
        """DynamoDB, with plain values."""
        return self.session.resource(
            "dynamodb", region_name=self.region, config=_PATIENCE
        ).meta.client

    def in_region(self, command: str) -> str:
        """Return an `aws` command for this region."""
        return f"{command} --region {self.region}"

    def regions(self) -> list[str]:
        """Return every region that may have endpoints, enabled or not, without a call."""
        partition = self.session.get_partition_for_region(self.region)
        return list(self.session.get_available_regions("sagemaker", partition))


def code_of(error: Exception) -> str:
    """Return the code of a refusal; empty if there was no answer."""
    if isinstance(error, ClientError):
        code: str = error.response.get("Error", {}).get("Code", "")
        return code
    return ""


def described(error: Exception) -> str:
    """Return a failed call in plain words, without account ids and ARNs."""
    if not isinstance(error, ClientError):
        return f"AWS did not answer: {redact(str(error))}"
    if code_of(error) in DENIED:
        return f"your credentials may not call {error.operation_name}"
    message = error.response.get("Error", {}).get("Message", "")
    return f"{error.operation_name} failed with {code_of(error)}: {redact(message)}"


def guarded(what: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; one that cannot be made is a note and stops no other."""
    try:
        yield from check()
    except (ClientError, BotoCoreError) as error:
        if code_of(error) in DENIED:
            do = "Run it again with credentials that may read this."
        else:
            do = "Run it again; if it stays so, see the AWS Health Dashboard of the region."
        yield note(what, f"not checked: {described(error)}", do)
