"""Models: what SageMaker checks when one is created, and the calls of its execution role.

The calls are those of the developer guide's "SageMaker AI execution roles" for CreateModel and of
"Asynchronous inference prerequisites". Knows no policy.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from simulator.iam.call import Call
from simulator.iam.calls import NETWORK_OPERATIONS

ROLE = "arn:aws:iam::111122223333:role/sagemaker"
"""The role of models that tests create without a stack."""

_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]*):(?P<tag>[\w.-]+)"
)

PUBLISHED = {
    "763104351884": ("djl-inference", "huggingface-pytorch-", "pytorch-inference"),
}
"""AWS's deep learning containers in us-east-1: account, and how its repositories begin (the project
aws/deep-learning-containers, available_images.md). Tags are not known here: any is accepted."""


NO_IMAGE = (
    "Please make sure all images included in the model for the production variant {variant} exist, "
    "and that the execution role used to create the model has permissions to access them."
)
NO_DATA = (
    "Failed to download model data for production variant {variant}. Please ensure that there is "
    "an object located at the URL and that the role passed to CreateModel has permissions to "
    "download the model."
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model; `request` holds the members of CreateModel."""

    name: str
    arn: str
    request: dict[str, Any]

    @property
    def role(self) -> str:
        """Return the ARN of its execution role."""
        role: str = self.request["ExecutionRoleArn"]
        return role

    @property
    def image(self) -> str:
        """Return the address of its image; empty if it has none."""
        image: str = self.request.get("PrimaryContainer", {}).get("Image", "")
        return image

    @property
    def data(self) -> str:
        """Return the S3 address of its artifact, an object or a prefix; empty if it has none."""
        container = self.request.get("PrimaryContainer", {})
        source = container.get("ModelDataSource", {}).get("S3DataSource", {})
        address: str = container.get("ModelDataUrl") or source.get("S3Uri", "")
        return address


class Access(Protocol):
    """IAM, as far as SageMaker needs it."""

    def may_assume(self, service: str, role: str) -> bool:
        """Return whether a service may assume a role."""

    def permits(self, role: str, name: str, call: Call) -> bool:
        """Return whether a role's session may make a call."""

    def check(self, access_key: str, call: Call) -> None:
        """Raise `iam.call.DeniedError` if the owner of the key may not make the call."""


class Unrestricted:
    """Implements `Access` for a SageMaker without IAM: one role exists, and all is permitted."""

    def may_assume(self, _service: str, role: str) -> bool:
        """See `Access`."""
        return role == ROLE

    def permits(self, _role: str, _name: str, _call: Call) -> bool:
        """See `Access`."""
        return True

    def check(self, access_key: str, call: Call) -> None:
        """See `Access`."""


def image_exists(image: str, pushed: set[str], account: str, region: str) -> bool:
    """Return whether an image is one of AWS's, or one `pushed` into the account's own registry."""
    found = _IMAGE.fullmatch(image)
    if found is None or found["region"] != region:
        return False
    if found["account"] == account:
        return image in pushed
    return found["repository"].startswith(PUBLISHED.get(found["account"], ("\0",)))


def image_calls(model: Model) -> Iterator[Call]:
    """Yield the calls that pull the model's image."""
    found = _IMAGE.fullmatch(model.image)
    if found is None:
        return
    yield Call("ecr", "GetAuthorizationToken", {})
    where = f"arn:aws:ecr:{found['region']}:{found['account']}"
    repository = {"Repository": f"{where}:repository/{found['repository']}"}
    for operation in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"):
        yield Call("ecr", operation, repository)


def data_calls(model: Model) -> Iterator[Call]:
    """Yield the calls that download the model's artifact."""
    if model.data:
        bucket, key = bucket_and_key(model.data)
        yield Call("s3", "ListObjectsV2", {"Bucket": bucket})
        yield Call("s3", "GetObject", {"Bucket": bucket, "Key": key or "any"})


def network_calls(model: Model) -> Iterator[Call]:
    """Yield the calls that connect instances to the model's VPC, if it has one."""
    if "VpcConfig" in model.request:
        for operation in NETWORK_OPERATIONS:
            yield Call("ec2", operation, {})


def log_calls(endpoint: str) -> Iterator[Call]:
    """Yield the calls that bring a container's lines and metrics to CloudWatch."""
    group = {"logGroupName": f"/aws/sagemaker/Endpoints/{endpoint}"}
    stream = {**group, "logStreamName": "AllTraffic/i-0123456789abcdef0"}
    yield Call("logs", "DescribeLogStreams", group)
    yield Call("logs", "CreateLogGroup", group)
    yield Call("logs", "CreateLogStream", stream)
    yield Call("logs", "PutLogEvents", stream)
    yield Call("monitoring", "PutMetricData", {"Namespace": "/aws/sagemaker/Endpoints"})


def failure_of(model: Model, variant: str, endpoint: str, access: Access) -> str | None:
    """Make the calls of a model's role; return the reason if an essential one is denied.

    A container that may not write its log runs without one.
    """
    for reason, calls in ((NO_IMAGE, image_calls(model)), (NO_DATA, data_calls(model))):
        if not _all_permitted(model, calls, access):
            return reason.format(variant=variant)
    _all_permitted(model, (*network_calls(model), *log_calls(endpoint)), access)
    return None


def _all_permitted(model: Model, calls: Iterable[Call], access: Access) -> bool:
    # All of them, also after a denial: each is recorded.
    permitted = [access.permits(model.role, "SageMaker", call) for call in calls]
    return all(permitted)


def bucket_and_key(address: str) -> tuple[str, str]:
    """Return bucket and key of an s3:// address."""
    split = urlsplit(address)
    return split.netloc, split.path.lstrip("/")
