"""Refusals, with the code and the wording of the real service.

Raised by the rules, sent by the protocols; knows neither.

Sources of the wording: AWS-FACTS rows are from issue threads and botocore's service models; what is
only believed says so.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class RefusedError(Exception):
    """One error answer. `members`: further members of the error's shape."""

    code: str
    message: str
    status: int = 400
    members: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DroppedError(Exception):
    """The connection ends without an answer."""


# ── Control plane ────────────────────────────────────────────────────────────────────────────────


def invalid(message: str) -> RefusedError:
    """One code for all: clients tell these apart by the message."""
    return RefusedError("ValidationException", message)


def missing(kind: str, arn: str) -> RefusedError:
    """`kind`: endpoint, endpoint configuration, model."""
    return invalid(f'Could not find {kind} "{arn}".')


def exists_already(kind: str, arn: str) -> RefusedError:
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def in_progress(arn: str) -> RefusedError:
    return invalid(f'Cannot update in-progress endpoint "{arn}".')


def no_such_resource() -> RefusedError:
    """ListTags and AddTags of an ARN that is not there (seen in an issue of the SageMaker SDK)."""
    return invalid("Resource does not exist.")


def only_deletable(arn: str) -> RefusedError:
    """UpdateEndpoint of a failed one: the rule is botocore's, the words are believed."""
    return invalid(f'Cannot update endpoint "{arn}" in status Failed; it can only be deleted.')


def over_quota(instance_type: str, limit: int, used: int, wanted: int) -> RefusedError:
    return RefusedError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{instance_type} for endpoint usage' is {limit} "
        f"Instances, with current utilization of {used} Instances and a request delta of {wanted} "
        "Instances. Please use AWS Service Quotas to request an increase for this quota. If AWS "
        "Service Quotas is not available, contact AWS support to request an increase for this "
        "quota.",
    )


def throttled() -> RefusedError:
    return RefusedError("ThrottlingException", "Rate exceeded")


def internal_failure() -> RefusedError:
    return RefusedError("InternalFailure", "The request processing has failed.", status=500)


def denied(principal: str, operation: str, arn: str) -> RefusedError:
    return RefusedError(
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: sagemaker:{operation} on resource: {arn} "
        "because no identity-based policy allows the action",
    )


def unsigned() -> RefusedError:
    return RefusedError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)


# ── Runtime ──────────────────────────────────────────────────────────────────────────────────────


def not_found_at_runtime(name: str, account: str) -> RefusedError:
    return RefusedError("ValidationError", f"Endpoint {name} of account {account} not found.")


def wrong_way_to_call(name: str, account: str, *, asynchronous: bool) -> RefusedError:
    """An async endpoint takes async calls only, and no other endpoint does; words believed."""
    what = "supports asynchronous" if asynchronous else "does not support asynchronous"
    more = " only" if asynchronous else ""
    message = f"Endpoint {name} of account {account} {what} inference{more}."
    return RefusedError("ValidationError", message)


def model_error(
    original_status: int, original: str, name: str, where: tuple[str, str]
) -> RefusedError:
    """The container answered with an error, or (`original_status` 0) not in time."""
    region, account = where
    whose = "client" if 400 <= original_status < 500 else "server"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    log_group = f"/aws/sagemaker/Endpoints/{name}"
    return RefusedError(
        "ModelError",
        f'Received {whose} error ({original_status}) from primary with message "{original}". See '
        f"{console}#logEventViewer:group={log_group} in account {account} for more information.",
        status=424,
        members={
            "OriginalStatusCode": original_status,
            "OriginalMessage": original,
            "LogStreamArn": f"arn:aws:logs:{region}:{account}:log-group:{log_group}",
        },
    )


TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def model_not_ready() -> RefusedError:
    return RefusedError(
        "ModelNotReadyException", "The model is not ready. Wait and try again.", 429
    )


def unavailable() -> RefusedError:
    return RefusedError(
        "ServiceUnavailable", "The service is unavailable. Try your call again.", 503
    )
