"""Errors of SageMaker: classified, and described for people. No calls are made here.

SageMaker's control plane distinguishes most refusals by the start of their message only: the code
is `ValidationException` for a missing endpoint, a bad name and a missing configuration alike. No
returned text contains an account id or an ARN, because journal and error bodies are read by people
who have a token, not the account.
"""

import re
from enum import Enum, auto

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.core.decision import Cause
from parkmeter.errors import DriverError


class Refusal(Enum):
    """Reason of a refusal, as far as the next step depends on it."""

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
    "ResourceLimitExceeded": Refusal.QUOTA,
    "ThrottlingException": Refusal.THROTTLED,
    "Throttling": Refusal.THROTTLED,
    "RequestLimitExceeded": Refusal.THROTTLED,
    "TooManyRequestsException": Refusal.THROTTLED,
    "AccessDeniedException": Refusal.DENIED,
    "AccessDenied": Refusal.DENIED,
}

_BY_PREFIX = (
    # Before the endpoint, which is a prefix of this.
    ("Could not find endpoint configuration", Refusal.CONFIG_MISSING),
    ("Could not find endpoint", Refusal.MISSING),
    ("Resource does not exist", Refusal.MISSING),  # ListTags
    ("Cannot create already existing endpoint", Refusal.EXISTS),
    ("Cannot update in-progress endpoint", Refusal.IN_PROGRESS),
)

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:\w*:([^\s\"'<>,;()]+)")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")
_QUOTA = re.compile(r"service limit '(?P<quota>[^']+)' is (?P<limit>\d+)")


def classify(error: ClientError) -> Refusal:
    """Return the kind of a refusal."""
    code, message = _code_and_message(error)
    if code == "ValidationException":
        for prefix, refusal in _BY_PREFIX:
            if message.startswith(prefix):
                return refusal
        return Refusal.INVALID
    return _BY_CODE.get(code, Refusal.OTHER)


def driver_error(error: ClientError, failure: str) -> DriverError:
    """Return a refusal as the error that people see; `failure` says what could not be done."""
    code, message = _code_and_message(error)
    match classify(error):
        case Refusal.QUOTA:
            return DriverError(f"{failure}: {_quota(message)}", capacity=True)
        case Refusal.THROTTLED:
            return DriverError(f"{failure}: AWS is throttling requests. Parkmeter retries soon.")
        case Refusal.CONFIG_MISSING:
            # A new one is eventually consistent (botocore's model, CreateEndpointConfig).
            return DriverError(
                f"{failure}: {redact(message)} A new one takes a moment to become visible; "
                "if this persists, deploy the endpoint's stack again."
            )
        case Refusal.DENIED:
            return DriverError(f"{failure}: parkmeter lacks a permission. {redact(message)}")
        case _:
            return DriverError(f"{failure}: {redact(message) or 'no reason given'} ({code})")


def unreachable_error(error: BotoCoreError, failure: str) -> DriverError:
    """Return the error for a call without an answer: network, timeout, credentials."""
    return DriverError(f"{failure}: no answer from SageMaker. {redact(str(error))}")


def cause_of(failure_reason: str) -> Cause:
    """Return CAPACITY if another instance type may help, else OTHER."""
    return Cause.CAPACITY if "InsufficientInstanceCapacity" in failure_reason else Cause.OTHER


def describe_failure(failure_reason: str, variant: str | None, endpoint: str) -> str:
    """Return SageMaker's reason, and the next step where it is not simply a retry."""
    reason = redact(failure_reason).rstrip(". ") or "SageMaker gives no reason"
    if cause_of(failure_reason) is Cause.CAPACITY:
        return f"AWS has no {variant or 'instance of this type'} available: {reason}"
    return f"{reason} (the container's log: CloudWatch, /aws/sagemaker/Endpoints/{endpoint})"


def redact(text: str) -> str:
    """Return `text` without account ids and ARNs; of an ARN the resource's name stays."""
    return _ACCOUNT.sub("(account)", _ARN.sub(r"\1", text))


def _quota(message: str) -> str:
    found = _QUOTA.search(message)
    if found is None:
        return f"{redact(message)} Raise it under Service Quotas, Amazon SageMaker."
    quota, limit = redact(found["quota"]), int(found["limit"])
    if limit == 0:
        return (
            f"the account's quota '{quota}' is 0, so none can be started in this region. Ask for 1 "
            "in the AWS console under Service Quotas, Amazon SageMaker, which takes AWS hours to "
            "days; `parkmeter doctor --aws` prints the command."
        )
    return (
        f"the account's quota '{quota}' is {limit}, which is used up. Raise it in the AWS console "
        "under Service Quotas, Amazon SageMaker, in this region."
    )


def _code_and_message(error: ClientError) -> tuple[str, str]:
    found = error.response.get("Error", {})
    return found.get("Code", ""), found.get("Message", "")
