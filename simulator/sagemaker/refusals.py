"""Error answers, with the code and the wording of the real service.

The wording is from public issue threads and botocore's service models; assumptions are marked as
such.
"""

from dataclasses import dataclass, field
from typing import Any

_CLIENT_ERRORS = range(400, 500)


@dataclass
class RefusedError(Exception):
    """One error answer; `members` are further members of the error's shape."""

    code: str
    message: str
    status: int = 400
    members: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DroppedError(Exception):
    """Raised to close the connection without an answer."""


# ── Control plane ────────────────────────────────────────────────────────────────────────────────


def invalid(message: str) -> RefusedError:
    """Return a validation error; one code for many mistakes, distinguished by the message."""
    return RefusedError("ValidationException", message)


def missing(kind: str, arn: str) -> RefusedError:
    """Return the error for a missing endpoint, endpoint configuration or model."""
    return invalid(f'Could not find {kind} "{arn}".')


def exists_already(kind: str, arn: str) -> RefusedError:
    """Return the error for a name that is in use."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def in_progress(arn: str) -> RefusedError:
    """Return the error for a change of an endpoint whose state is changing."""
    return invalid(f'Cannot update in-progress endpoint "{arn}".')


def no_such_resource() -> RefusedError:
    """Return the error of ListTags and AddTags for a missing ARN (from an SDK issue)."""
    return invalid("Resource does not exist.")


def only_deletable(arn: str) -> RefusedError:
    """Return the error for an update of a failed endpoint; rule from botocore, words assumed."""
    return invalid(f'Cannot update endpoint "{arn}" in status Failed; it can only be deleted.')


def over_quota(instance_type: str, limit: int, used: int, requested: int) -> RefusedError:
    """Return the error for more instances than the quota."""
    return RefusedError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{instance_type} for endpoint usage' is {limit} "
        f"Instances, with current utilization of {used} Instances and a request delta of "
        f"{requested} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase "
        "for this quota.",
    )


def throttled() -> RefusedError:
    """Return the error for too many requests."""
    return RefusedError("ThrottlingException", "Rate exceeded")


def internal_failure() -> RefusedError:
    """Return the error for a failure of the service."""
    return RefusedError("InternalFailure", "The request processing has failed.", status=500)


def denied(principal: str, operation: str, arn: str) -> RefusedError:
    """Return the error for a missing permission."""
    return denied_by_iam(
        f"User: {principal} is not authorized to perform: sagemaker:{operation} on resource: {arn} "
        "because no identity-based policy allows the action"
    )


def denied_by_iam(message: str) -> RefusedError:
    """Return the error for a missing permission, with IAM's message."""
    return RefusedError("AccessDeniedException", message)


def scalable_target_in_the_way() -> RefusedError:
    """Return the error of DeleteEndpoint for a caller that may not remove a scalable target.

    From issue awslabs/stable-diffusion-aws-extension#161.
    """
    return invalid(
        "An Application AutoScaling scalable target exists for a variant being deleted, and the "
        "IAM identity used to invoke DeleteEndpoint does not have "
        "application-autoscaling:DeregisterScalableTarget permission to deregister the scalable "
        "target."
    )


def scalable_target_keeps_type(arn: str) -> RefusedError:
    """Return the error for a new instance type of a scalable target; words assumed.

    The rule: developer guide, "Update or delete endpoints that use automatic scaling".
    """
    return invalid(
        f'Cannot change the instance type of endpoint "{arn}" while a scalable target is '
        "registered for its variant. Deregister it first."
    )


def image_not_found(image: str) -> RefusedError:
    """Return the error of CreateModel for an unknown image; words assumed."""
    return invalid(f"Requested image {image} not found.")


def role_not_assumable(role: str) -> RefusedError:
    """Return the error for a role that is missing or does not trust SageMaker.

    From issue awslabs/predictive-maintenance-using-machine-learning#3.
    """
    return invalid(
        f"Could not assume role {role}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role."
    )


def unsigned() -> RefusedError:
    """Return the error for a request without a signature."""
    return RefusedError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)


# ── Runtime ──────────────────────────────────────────────────────────────────────────────────────


def not_found_at_runtime(name: str, account: str) -> RefusedError:
    """Return the runtime's error for an endpoint that does not serve."""
    return RefusedError("ValidationError", f"Endpoint {name} of account {account} not found.")


def wrong_invocation(name: str, account: str, *, asynchronous: bool) -> RefusedError:
    """Return the error for an async call to another endpoint, or the reverse; words assumed."""
    what = "supports asynchronous" if asynchronous else "does not support asynchronous"
    more = " only" if asynchronous else ""
    message = f"Endpoint {name} of account {account} {what} inference{more}."
    return RefusedError("ValidationError", message)


def model_error(
    original_status: int, original: str, name: str, where: tuple[str, str]
) -> RefusedError:
    """Return the error for a container's error, or (`original_status` 0) its timeout."""
    region, account = where
    side = "client" if original_status in _CLIENT_ERRORS else "server"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    log_group = f"/aws/sagemaker/Endpoints/{name}"
    return RefusedError(
        "ModelError",
        f'Received {side} error ({original_status}) from primary with message "{original}". See '
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
    """Return the error for a model that is loading."""
    return RefusedError(
        "ModelNotReadyException", "The model is not ready. Wait and try again.", 429
    )


def unavailable() -> RefusedError:
    """Return the error for a container that cannot be reached."""
    return RefusedError(
        "ServiceUnavailable", "The service is unavailable. Try your call again.", 503
    )
