"""The actions that parkmeter's roles use: the ARNs and condition keys of each. Data.

Source: AWS's Service Authorization Reference, one page for each service ("Actions, resources, and
condition keys for …"), read in November 2026. CloudWatch Logs: also its guide's page "Overview of
managing access permissions", by which an action is checked against the ARN of a log stream.
An action that is missing here fails the test that uses it: look it up there and add it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

ARN = "arn:aws:{service}:{region}:{account}:"

ANY_RESOURCE = "*"


@dataclass(frozen=True, slots=True)
class Action:
    """The forms of the ARNs that an action is checked against, and the condition keys it carries.

    In a form `*` stands for any text, `+` for any without a slash or a colon. `lower`: the service
    writes the names in its ARNs in lower case.
    """

    forms: tuple[str, ...]
    keys: frozenset[str] = frozenset()
    lower: bool = False


GLOBAL_KEYS = frozenset({"aws:SecureTransport", "aws:PrincipalArn", "aws:RequestedRegion"})
"""Condition keys that every request carries here."""

_LEADING = ("dynamodb:LeadingKeys", "dynamodb:EnclosingOperation")
_TABLE = ARN + "table/+"
_INDEX = ARN + "table/+/index/+"
_STREAM = ARN + "log-group:*:log-stream:*"
_ENDPOINT = ARN + "endpoint/+"
_ENDPOINT_CONFIG = ARN + "endpoint-config/+"
_PARAMETER = ARN + "parameter/*"
_REPOSITORY = "arn:aws:ecr:*:*:repository/*"
_OBJECT = "arn:aws:s3:::+/*"
_BUCKET = "arn:aws:s3:::+"
_S3 = ("s3:ResourceAccount",)
_REQUEST_TAG = ("aws:RequestTag/*", "aws:TagKeys")
_RESOURCE_TAG = ("aws:ResourceTag/*",)


def _actions(
    service: str, names: str, forms: Iterable[str], keys: Iterable[str] = (), *, lower: bool = False
) -> dict[str, Action]:
    """Return the entries of actions with the same resources and keys; `names` with spaces."""
    located = tuple(form.replace("{service}", service) for form in forms)
    return {f"{service}:{n}": Action(located, frozenset(keys), lower) for n in names.split()}


ACTIONS: dict[str, Action] = {
    **_actions(
        "dynamodb",
        "BatchGetItem ConditionCheckItem DeleteItem GetItem PutItem UpdateItem",
        [_TABLE],
        _LEADING,
    ),
    **_actions("dynamodb", "Query", [_TABLE, _INDEX], _LEADING),
    **_actions("dynamodb", "Scan", [_TABLE, _INDEX]),
    **_actions(
        "ssm",
        "DeleteParameter GetParameter GetParameters GetParametersByPath PutParameter",
        [_PARAMETER],
    ),
    **_actions(
        "sagemaker",
        "CreateEndpoint",
        [_ENDPOINT, _ENDPOINT_CONFIG],
        _REQUEST_TAG,
        lower=True,
    ),
    **_actions("sagemaker", "AddTags", [_ENDPOINT], (*_REQUEST_TAG, *_RESOURCE_TAG), lower=True),
    **_actions(
        "sagemaker",
        "DeleteEndpoint DescribeEndpoint InvokeEndpoint InvokeEndpointAsync "
        "InvokeEndpointWithResponseStream ListTags UpdateEndpointWeightsAndCapacities",
        [_ENDPOINT],
        _RESOURCE_TAG,
        lower=True,
    ),
    **_actions(
        "sagemaker", "DescribeEndpointConfig", [_ENDPOINT_CONFIG], _RESOURCE_TAG, lower=True
    ),
    **_actions("sagemaker", "ListEndpoints", [ANY_RESOURCE]),
    **_actions("lambda", "InvokeFunction", [ARN + "function:+"]),
    **_actions("sns", "Publish", [ARN + "+"]),
    **_actions("cloudwatch", "GetMetricData", [ANY_RESOURCE]),
    **_actions("cloudwatch", "PutMetricData", [ANY_RESOURCE], ("cloudwatch:namespace",)),
    **_actions("pricing", "GetProducts", [ANY_RESOURCE]),
    **_actions("servicequotas", "ListAWSDefaultServiceQuotas ListServiceQuotas", [ANY_RESOURCE]),
    **_actions(
        "logs",
        "CreateLogGroup CreateLogStream DescribeLogStreams FilterLogEvents PutLogEvents",
        [_STREAM],
    ),
    **_actions("s3", "GetObject PutObject DeleteObject", [_OBJECT], _S3),
    **_actions("s3", "ListBucket", [_BUCKET], (*_S3, "s3:prefix")),
    **_actions(
        "kms",
        "CreateGrant Decrypt DescribeKey Encrypt GenerateDataKey",
        [ARN + "key/+"],
        ("kms:ViaService",),
    ),
    **_actions("ecr", "GetAuthorizationToken", [ANY_RESOURCE]),
    **_actions(
        "ecr", "BatchCheckLayerAvailability BatchGetImage GetDownloadUrlForLayer", [_REPOSITORY]
    ),
    **_actions(
        "ec2",
        "CreateNetworkInterface CreateNetworkInterfacePermission DeleteNetworkInterface "
        "DeleteNetworkInterfacePermission DescribeDhcpOptions DescribeNetworkInterfaces "
        "DescribeSecurityGroups DescribeSubnets DescribeVpcs",
        [ANY_RESOURCE],
    ),
    **_actions(
        "application-autoscaling",
        "DeregisterScalableTarget RegisterScalableTarget",
        [ARN + "scalable-target/+"],
        ("application-autoscaling:service-namespace", "application-autoscaling:scalable-dimension"),
    ),
    **_actions("application-autoscaling", "DescribeScalableTargets", [ANY_RESOURCE]),
}
