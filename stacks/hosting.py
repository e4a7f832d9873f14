"""SageMaker Models for the models in `app.py`, with the role of their container.

Used by the metered and by the async stack. Knows JumpStart's facts; knows nothing of meters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Annotations, Aws, Stack, aws_iam, aws_sagemaker
from constructs import Construct

from stacks import jumpstart
from stacks.iam import Grants
from stacks.iam_role import Grant, role
from stacks.names import VARIANT, endpoint_log_group
from stacks.settings import Container, Endpoint, JumpStart, Settings, Vpc

_READING_REASON = (
    "a live endpoint keeps its previous model while a new one is deployed, "
    "and must still be able to replace a broken instance"
)


@dataclass(frozen=True, slots=True)
class _Source:
    """The parts of a container, common to all kinds of models."""

    registry: str
    image: str
    environment: Mapping[str, str]
    bucket: str | None
    key: str
    is_prefix: bool
    isolated: bool


def hosted_model(
    scope: Construct,
    settings: Settings,
    endpoint: Endpoint,
    *,
    sagemaker_endpoint: str,
    grants: Sequence[Grant] = (),
) -> aws_sagemaker.CfnModel:
    """Return the Model of an endpoint that logs as `sagemaker_endpoint`, with further `grants`."""
    stack = Stack.of(scope)
    source = _source(endpoint.model, settings.region)
    if source.bucket and not source.is_prefix and not source.key.endswith(".tar.gz"):
        Annotations.of(scope).add_warning_v2(
            "parkmeter:artifact-suffix",
            f"endpoint {endpoint.name!r}: SageMaker takes one model.tar.gz, and the artifact's key "
            f"{source.key!r} does not end in .tar.gz (assets of CDK end in .gz). Upload it with: "
            "aws s3 cp model.tar.gz s3://BUCKET/KEY/model.tar.gz",
        )
    container = aws_sagemaker.CfnModel.ContainerDefinitionProperty(
        image=f"{source.registry}.dkr.ecr.{settings.region}.{stack.url_suffix}/{source.image}",
        environment=dict(source.environment),
        **_artifact(source),
    )
    return aws_sagemaker.CfnModel(
        scope,
        "Model",
        execution_role_arn=_role(
            scope, settings, source, sagemaker_endpoint, [*grants, *_networks(endpoint.vpc)]
        ).role_arn,
        primary_container=container,
        # By default no VPC: its endpoints or NAT would cost money while no model runs.
        vpc_config=_vpc(endpoint.vpc),
        enable_network_isolation=source.isolated,
    )


def production_variant(
    model: aws_sagemaker.CfnModel, endpoint: Endpoint, instance_type: str, **more: Any
) -> aws_sagemaker.CfnEndpointConfig.ProductionVariantProperty:
    """Return the variant, with the time that a large model needs to load, and `more` properties."""
    return aws_sagemaker.CfnEndpointConfig.ProductionVariantProperty(
        variant_name=VARIANT,
        model_name=model.attr_model_name,
        instance_type=instance_type,
        initial_instance_count=endpoint.instance_count,
        inference_ami_version=endpoint.inference_ami_version,
        initial_variant_weight=1,
        model_data_download_timeout_in_seconds=endpoint.startup_timeout_seconds,
        container_startup_health_check_timeout_in_seconds=endpoint.startup_timeout_seconds,
        **more,
    )


def _vpc(vpc: Vpc | None) -> aws_sagemaker.CfnModel.VpcConfigProperty | None:
    if vpc is None:
        return None
    return aws_sagemaker.CfnModel.VpcConfigProperty(
        subnets=list(vpc.subnets), security_group_ids=list(vpc.security_groups)
    )


def _source(model: JumpStart | Container, region: str) -> _Source:
    match model:
        case JumpStart():
            fact = jumpstart.fact(model.model_id, model.version, region)
            return _Source(
                registry=fact.account,
                image=fact.image,
                environment=fact.environment,
                bucket=jumpstart.bucket(region),
                key=fact.artifact_key,
                is_prefix=fact.artifact_is_prefix,
                isolated=True,
            )
        case Container():
            own = model.own_registry
            bucket, _, key = (model.artifact or "").removeprefix("s3://").partition("/")
            return _Source(
                registry=Aws.ACCOUNT_ID if own else jumpstart.containers_account(region),
                image=model.image,
                environment=model.environment,
                bucket=bucket or None,
                key=key,
                is_prefix=False,
                # Without an artifact the container fetches its model from a hub by itself.
                isolated=model.artifact is not None,
            )


def _artifact(source: _Source) -> dict[str, Any]:
    if source.bucket is None:
        return {}
    address = f"s3://{source.bucket}/{source.key}"
    if not source.is_prefix:
        return {"model_data_url": address}
    definition = aws_sagemaker.CfnModel
    return {
        "model_data_source": definition.ModelDataSourceProperty(
            s3_data_source=definition.S3DataSourceProperty(
                s3_uri=address, s3_data_type="S3Prefix", compression_type="None"
            )
        )
    }


def _networks(vpc: Vpc | None) -> list[Grant]:
    """Return what SageMaker does with the role to connect instances to a VPC (guide, VPC)."""
    if vpc is None:
        return []
    actions = (
        "ec2:CreateNetworkInterface",
        "ec2:CreateNetworkInterfacePermission",
        "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    )
    because = "network interfaces have no names before they are created; describing has no resource"
    return [Grant(actions, ("*",), because=because)]


def _role(
    scope: Construct,
    settings: Settings,
    source: _Source,
    sagemaker_endpoint: str,
    grants: Sequence[Grant],
) -> aws_iam.Role:
    stack = Stack.of(scope)
    statements = Grants(stack, settings.names)
    registry = f"arn:{Aws.PARTITION}:ecr:{settings.region}:{source.registry}:repository"
    allowed = [
        statements.write_container_logs(endpoint_log_group(sagemaker_endpoint)),
        Grant(
            ("ecr:GetAuthorizationToken",),
            ("*",),
            because="GetAuthorizationToken has no resource (AWS)",
        ),
        Grant(
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            (f"{registry}/*",),
            because=f"reading images only: {_READING_REASON}",
        ),
        Grant(
            ("cloudwatch:PutMetricData",),
            ("*",),
            {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
            "PutMetricData has no resource (AWS); the condition limits it to SageMaker's metrics",
        ),
        *grants,
    ]
    if source.bucket is not None:
        bucket = f"arn:{Aws.PARTITION}:s3:::{source.bucket}"
        allowed += [
            Grant(("s3:ListBucket",), (bucket,)),
            Grant(("s3:GetObject",), (f"{bucket}/*",), because=f"reading only: {_READING_REASON}"),
        ]
    return role(scope, "Role", "sagemaker.amazonaws.com", allowed)
