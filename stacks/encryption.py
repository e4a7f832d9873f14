"""A key of the user's own for tables, async objects and the disks of instances.

Without one AWS encrypts everything with keys of its own, at no cost. The key belongs to the user:
its policy must let IAM decide on it, as a key's default policy does.
"""

import re
from collections.abc import Iterator

from aws_cdk import aws_kms
from constructs import Construct

from stacks.iam_role import Grant
from stacks.settings import Settings

_WITHOUT_LOCAL_DISK = re.compile(r"ml\.(t[23]|[cm][4567][agi]?|r[567][agi]?|p2|p3|inf[12])\.")
"""Instance types that have a volume to encrypt. The others have local disks, which their hardware
encrypts; SageMaker refuses a key for them."""


def deployment_key(scope: Construct, settings: Settings) -> aws_kms.IKey | None:
    """Return the key of this deployment, once for each scope; None without one."""
    if settings.kms_key is None:
        return None
    return aws_kms.Key.from_key_arn(scope, "Key", settings.kms_key)


def volume_key(settings: Settings, instance_type: str) -> str | None:
    """Return the key for the volume of an instance, None where SageMaker takes none."""
    return settings.kms_key if _WITHOUT_LOCAL_DISK.match(instance_type) else None


def encrypt_volumes(settings: Settings, region: str) -> Iterator[Grant]:
    """Yield the grant to create endpoints with encrypted volumes; nothing without such.

    SageMaker passes the key on to the instances in the name of the caller of CreateEndpoint (guide,
    API permissions), and refuses the endpoint otherwise.
    """
    kinds = (kind for endpoint in settings.endpoints for kind in endpoint.instance_types)
    if settings.kms_key is not None and any(volume_key(settings, kind) for kind in kinds):
        yield Grant(
            ("kms:CreateGrant", "kms:DescribeKey"),
            (settings.kms_key,),
            {"StringEquals": {"kms:ViaService": f"sagemaker.{region}.amazonaws.com"}},
        )


def use_key(settings: Settings, region: str, *services: str) -> Iterator[Grant]:
    """Yield the grant to use the key through these services only; nothing without a key."""
    if settings.kms_key is not None:
        via = [f"{service}.{region}.amazonaws.com" for service in services]
        yield Grant(
            ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
            (settings.kms_key,),
            {"StringEquals": {"kms:ViaService": via}},
        )
