"""What SageMaker says, understood and put into words for people. No calls are made here.

SageMaker's control plane tells most refusals apart by the beginning of their message only: the code
is `ValidationException` for a missing endpoint, for a bad name and for a missing configuration
alike. No text that leaves here holds an account id or an ARN, because journal and error bodies are
read by people who are given a token, not the account.
"""

import re
from enum import Enum, auto

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.decision import Cause
from parkmeter.errors import DriverError


class Refused(Enum):
    """Why SageMaker refused, as far as the next step depends on it."""

    MISSING = auto()
    EXISTS = auto()
    IN_PROGRESS = auto()
    CONFIG_MISSING = auto()
    INVALID = auto()
    QUOTA = auto()
    THROTTLED = auto()
    DENIED = auto()
    OTHER = auto()


_BY_CODE = {
    "ResourceLimitExceeded": Refused.QUOTA,
    "ThrottlingException": Refused.THROTTLED,
    "Throttling": Refused.THROTTLED,
    "RequestLimitExceeded": Refused.THROTTLED,
    "TooManyRequestsException": Refused.THROTTLED,
    "AccessDeniedException": Refused.DENIED,
    "AccessDenied": Refused.DENIED,
}

_BY_BEGINNING = (
    # Before the endpoint, whose beginning this shares.
    ("Could not find endpoint configuration", Refused.CONFIG_MISSING),
    ("Could not find endpoint", Refused.MISSING),
    ("Resource does not exist", Refused.MISSING),  # ListTags
    ("Cannot create already existing endpoint", Refused.EXISTS),
    ("Cannot update in-progress endpoint", Refused.IN_PROGRESS),
)

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:\w*:([^\s\"'<>,;()]+)")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")
_QUOTA = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<limit>\d+)")


def refusal_of(error: ClientError) -> Refused:
    """What kind of refusal this is."""
    code, message = _said(error)
    if code == "ValidationException":
        for beginning, refused in _BY_BEGINNING:
            if message.startswith(beginning):
                return refused
        return Refused.INVALID
    return _BY_CODE.get(code, Refused.OTHER)


def missing(endpoint: str) -> ClientError:
    """What SageMaker says of an endpoint that is not there."""
    said = {"Code": "ValidationException", "Message": f'Could not find endpoint "{endpoint}".'}
    return ClientError({"Error": said}, "DescribeEndpoint")


def words_of(error: ClientError, what: str) -> DriverError:
    """A refusal as the error that people see; `what` could not be done."""
    code, message = _said(error)
    match refusal_of(error):
        case Refused.QUOTA:
            return DriverError(f"{what}: {_quota(message)}", capacity=True)
        case Refused.THROTTLED:
            return DriverError(f"{what}: AWS asks for fewer requests. It is tried again soon.")
        case Refused.CONFIG_MISSING:
            # A new one is not seen everywhere at once (botocore's model, CreateEndpointConfig).
            return DriverError(
                f"{what}: {scrubbed(message)} One that was just deployed takes a moment to be "
                "found; if this stays so, deploy the endpoint's stack again."
            )
        case Refused.DENIED:
            return DriverError(f"{what}: parkmeter lacks a permission. {scrubbed(message)}")
        case _:
            return DriverError(f"{what}: {scrubbed(message) or 'without a reason'} ({code})")


def unreachable(error: BotoCoreError, what: str) -> DriverError:
    """No answer at all: network, time-out, credentials."""
    return DriverError(f"{what}: no answer from SageMaker. {scrubbed(str(error))}")


def cause_of(failure_reason: str) -> Cause:
    """Whether another instance type may help."""
    return Cause.CAPACITY if "InsufficientInstanceCapacity" in failure_reason else Cause.OTHER


def why_failed(failure_reason: str, variant: str | None, endpoint: str) -> str:
    """SageMaker's own words, and what to do next where it is not simply to try again."""
    words = scrubbed(failure_reason).rstrip(". ") or "SageMaker says that it failed, but not why"
    if cause_of(failure_reason) is Cause.CAPACITY:
        return f"AWS has no {variant or 'instance of this type'} free at present: {words}"
    return f"{words} (the container's log: CloudWatch, /aws/sagemaker/Endpoints/{endpoint})"


def scrubbed(text: str) -> str:
    """Without account ids and ARNs; of an ARN the name of the thing stays."""
    return _ACCOUNT.sub("(account)", _ARN.sub(r"\1", text))


def _quota(message: str) -> str:
    found = _QUOTA.search(message)
    if found is None:
        return f"{scrubbed(message)} Raise it under Service Quotas, Amazon SageMaker."
    return (
        f"the account's quota '{scrubbed(found['quota'])}' is {found['limit']}, and that is used "
        "up. Raise it in the AWS console under Service Quotas, Amazon SageMaker, in this region."
    )


def _said(error: ClientError) -> tuple[str, str]:
    said = error.response.get("Error", {})
    return said.get("Code", ""), said.get("Message", "")
