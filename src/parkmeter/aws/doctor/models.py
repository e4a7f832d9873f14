"""Can SageMaker fetch what an endpoint is made of: its configuration, image and artifact?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from parkmeter.aws.definitions import Definition
from parkmeter.aws.doctor.account import DENIED, Account, code_of
from parkmeter.aws.doctor.deployment import Deployment
from parkmeter.aws.stack_names import title_of
from parkmeter.core.finding import Finding, good, note, wrong

_IMAGE = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?"
)
_GONE = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})


def examine_models(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Check each endpoint's configurations, and the image and artifact of their model."""
    for name, detail in deployment.broken.items():
        stack = f"{title_of(name)}MeteredStack"
        do = f"cdk deploy {stack} (if that finds no changes: {_made_again(stack)})"
        yield wrong(f"definition of {name}", detail, do)
    for one in deployment.definitions.values():
        yield from _examine(account, one)


def _made_again(stack: str) -> str:
    """Return what replaces resources that were deleted or edited by hand.

    A deployment alone would not: CloudFormation compares templates and finds no change.
    """
    return f"cdk destroy {stack} --exclusively && cdk deploy {stack}"


def _examine(account: Account, one: Definition) -> Iterator[Finding]:
    name, stack = one.spec.name, f"{title_of(one.spec.name)}MeteredStack"
    redeploy = f"cdk deploy {stack}"
    images: dict[str, None] = {}
    artifacts: dict[tuple[str, bool], None] = {}
    for kind, config in one.configs.items():
        try:
            container = _container(account, config)
        except ClientError as error:
            if not str(error).partition("operation: ")[2].startswith("Could not find"):
                raise
            yield wrong(
                f"model of {name}",
                f"what {kind} is started from no longer exists ({config})",
                _made_again(stack),
            )
            continue
        if image := container.get("Image"):
            images[image] = None
        if artifact := _artifact(container):
            artifacts[artifact] = None
    for image in images:
        yield _image(account, name, image, redeploy)
    for address, is_prefix in artifacts:
        yield _data(account, name, address, redeploy, is_prefix=is_prefix)


def _container(account: Account, config: str) -> Mapping[str, Any]:
    described = account.sagemaker.describe_endpoint_config(EndpointConfigName=config)
    model = account.sagemaker.describe_model(
        ModelName=described["ProductionVariants"][0]["ModelName"]
    )
    container: Mapping[str, Any] = model.get("PrimaryContainer") or model["Containers"][0]
    return container


def _artifact(container: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the artifact's S3 address, and whether it is a folder."""
    if address := container.get("ModelDataUrl"):
        return address, False
    if source := container.get("ModelDataSource", {}).get("S3DataSource"):
        return source["S3Uri"], source.get("S3DataType") == "S3Prefix"
    return None


def _image(account: Account, name: str, image: str, redeploy: str) -> Finding:
    what, shown = f"image of {name}", image.rpartition("/")[2]
    found = _IMAGE.fullmatch(image)
    if found is None:
        return note(what, f"{shown} is in a registry that is not examined")
    wanted = {"imageTag": found["tag"] or "latest"}
    if found["digest"]:
        wanted = {"imageDigest": found["digest"]}
    try:
        # What SageMaker does too; describing images needs further permissions.
        answer = account.client("ecr", found["region"]).batch_get_image(
            registryId=found["registry"], repositoryName=found["repository"], imageIds=[wanted]
        )
    except ClientError as error:
        if code_of(error) in DENIED:
            return note(what, f"{shown}: your credentials may not read its registry")
        if code_of(error) != "RepositoryNotFoundException":
            raise
        answer = {"images": []}
    if answer["images"]:
        return good(what, f"{shown} is in the registry")
    return wrong(
        what,
        f"{shown} does not exist in the registry: every start fails",
        f"Choose another tag in app.py, then: {redeploy}",
    )


def _data(account: Account, name: str, address: str, redeploy: str, *, is_prefix: bool) -> Finding:
    what, split = f"artifact of {name}", urlsplit(address)
    bucket, key = split.netloc, split.path.lstrip("/")
    s3 = account.client("s3")
    try:
        if is_prefix:
            there = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)["KeyCount"] > 0
        else:
            there = bool(s3.head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if code_of(error) in DENIED:
            return note(what, f"{address}: your credentials may not read it")
        if code_of(error) not in _GONE:
            raise
        there = False
    if there:
        return good(what, f"{address} can be read")
    return wrong(
        what,
        f"{address} does not exist: every start fails",
        f"Upload it, or correct the model in app.py, then: {redeploy}",
    )
