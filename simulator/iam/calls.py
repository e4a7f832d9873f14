"""From an API call to the permissions it needs: actions, ARNs, condition keys.

One function for each operation that functions and containers call. Source of the resources and
keys: the Service Authorization Reference, as in `actions`; further sources at the functions. An
operation that is missing raises, so that a new call cannot go unchecked.
"""

from collections.abc import Callable

from simulator.iam import dynamodb_calls
from simulator.iam.call import Call, Known, Needs, Request, UncheckedCallError
from simulator.iam.policy import Context, Need
from simulator.iam.reach import Place

NETWORK_OPERATIONS = (
    "CreateNetworkInterface",
    "CreateNetworkInterfacePermission",
    "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission",
    "DescribeDhcpOptions",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
)
"""EC2's operations by which SageMaker connects instances to a VPC (guide, execution roles)."""


def needs(call: Call, place: Place, known: Known) -> list[Need]:
    """Return the permissions that a call needs; all of them.

    Raises:
        UncheckedCallError: the operation is not in the table.

    """
    find = _OPERATIONS.get((call.service, call.operation))
    if find is None:
        raise UncheckedCallError(
            f"{call.service} {call.operation}: add it to simulator/iam/calls.py and actions.py"
        )
    common: Context = {
        "aws:SecureTransport": ("true",),
        "aws:RequestedRegion": (place.region,),
    }
    request = Request(call, place, known)
    return [Need(need.action, need.resource, {**common, **need.context}) for need in find(request)]


# ── SSM ─────────────────────────────────────────────────────────────────────────────────────────
#
# GetParametersByPath is checked against its path as sent (issues aws/aws-dotnet-extensions-
# configuration#108 and aws-ia/terraform-aws-control_tower_account_factory#174).


def _parameter(request: Request) -> Needs:
    asked = request.parameters
    for name in asked.get("Names") or [asked.get("Name") or asked["Path"]]:
        path = name if name.startswith("/") else f"/{name}"
        yield Need(f"ssm:{request.call.operation}", request.arn("ssm", f"parameter{path}"))


# ── SageMaker ───────────────────────────────────────────────────────────────────────────────────


def _create_endpoint(request: Request) -> Needs:
    asked = request.parameters
    tags = {tag["Key"]: tag["Value"] for tag in asked.get("Tags", ())}
    context: Context = {f"aws:RequestTag/{key}": (value,) for key, value in tags.items()}
    context = {**context, "aws:TagKeys": tuple(tags)}
    endpoint = _sagemaker(request, "endpoint", asked["EndpointName"])
    config = _sagemaker(request, "endpoint-config", asked["EndpointConfigName"])
    yield Need("sagemaker:CreateEndpoint", endpoint, context)
    yield Need("sagemaker:CreateEndpoint", config, context)
    if tags:
        yield Need("sagemaker:AddTags", endpoint, context)


def _endpoint(request: Request) -> Needs:
    name = request.parameters.get("EndpointName")
    arn = _sagemaker(request, "endpoint", name) if name else request.parameters["ResourceArn"]
    yield Need(f"sagemaker:{request.call.operation}", arn, _tags(request, arn))


def _delete_endpoint(request: Request) -> Needs:
    """Yield also the removal of the endpoint's scalable targets: it needs the same caller's grant.

    After issue awslabs/stable-diffusion-aws-extension#161.
    """
    yield from _endpoint(request)
    context = {"application-autoscaling:service-namespace": ("sagemaker",)}
    for target in request.known.scalable_targets(request.parameters["EndpointName"]):
        yield Need("application-autoscaling:DeregisterScalableTarget", target, context)


def _register_target(request: Request) -> Needs:
    """Yield also what scaling then does, which the same caller must be allowed (guide, IAM)."""
    asked = request.parameters
    name = asked["ResourceId"].split("/")[1]
    context = {"application-autoscaling:service-namespace": (asked["ServiceNamespace"],)}
    for target in request.known.scalable_targets(name):
        yield Need("application-autoscaling:RegisterScalableTarget", target, context)
    for action in ("DescribeEndpoint", "UpdateEndpointWeightsAndCapacities"):
        yield Need(f"sagemaker:{action}", _sagemaker(request, "endpoint", name))
    yield Need("sagemaker:DescribeEndpointConfig", _sagemaker(request, "endpoint-config", "its"))


def _endpoint_config(request: Request) -> Needs:
    arn = _sagemaker(request, "endpoint-config", request.parameters["EndpointConfigName"])
    yield Need(f"sagemaker:{request.call.operation}", arn)


def _list_endpoints(_request: Request) -> Needs:
    yield Need("sagemaker:ListEndpoints")


def _sagemaker(request: Request, kind: str, name: str) -> str:
    return request.arn("sagemaker", f"{kind}/{name.lower()}")


def _tags(request: Request, arn: str) -> Context:
    found = request.known.tags(arn)
    return {f"aws:ResourceTag/{key}": (value,) for key, value in found.items()}


# ── Others ──────────────────────────────────────────────────────────────────────────────────────


def _invoke(request: Request) -> Needs:
    name = request.parameters["FunctionName"]
    arn = name if name.startswith("arn:") else request.arn("lambda", f"function:{name}")
    yield Need("lambda:InvokeFunction", arn)


def _publish(request: Request) -> Needs:
    yield Need("sns:Publish", request.parameters["TopicArn"])


def _log_stream(request: Request) -> Needs:
    """Without a stream's name the ARN ends with `log-stream:` (issue prowler-cloud/prowler#37)."""
    asked = request.parameters
    stream = f"log-group:{asked['logGroupName']}:log-stream:{asked.get('logStreamName', '')}"
    yield Need(f"logs:{request.call.operation}", request.arn("logs", stream))


def _object(action: str) -> Callable[[Request], Needs]:
    def find(request: Request) -> Needs:
        bucket = request.parameters["Bucket"]
        keys = request.parameters.get("Keys") or [request.parameters["Key"]]
        for key in keys:
            yield Need(f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}", _owner(request))
        # A missing object is a 404 for who may list the bucket, and a 403 for others (S3's
        # reference, GetObject).
        if action == "GetObject" and request.known.lacks_object(bucket, keys[0]):
            yield from _bucket(request)

    return find


def _bucket(request: Request) -> Needs:
    bucket = request.parameters["Bucket"]
    yield Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", _owner(request))


def _owner(request: Request) -> Context:
    return {"s3:ResourceAccount": (request.place.account,)}


def _repository(request: Request) -> Needs:
    yield Need(f"ecr:{request.call.operation}", request.parameters["Repository"])


def _without_resource(action: str) -> Callable[[Request], Needs]:
    return lambda _request: iter([Need(action)])


def _put_metric(request: Request) -> Needs:
    namespace = {"cloudwatch:namespace": (request.parameters["Namespace"],)}
    yield Need("cloudwatch:PutMetricData", "*", namespace)


_OPERATIONS: dict[tuple[str, str], Callable[[Request], Needs]] = {
    **{
        ("dynamodb", name): dynamodb_calls.one_item
        for name in ("DeleteItem", "GetItem", "PutItem", "UpdateItem")
    },
    ("dynamodb", "TransactWriteItems"): dynamodb_calls.transaction,
    ("dynamodb", "BatchGetItem"): dynamodb_calls.batch_get,
    ("dynamodb", "Query"): dynamodb_calls.query,
    ("dynamodb", "Scan"): dynamodb_calls.scan,
    **{
        ("ssm", name): _parameter
        for name in (
            "DeleteParameter",
            "GetParameter",
            "GetParameters",
            "GetParametersByPath",
            "PutParameter",
        )
    },
    ("sagemaker", "CreateEndpoint"): _create_endpoint,
    ("sagemaker", "DeleteEndpoint"): _delete_endpoint,
    ("sagemaker", "ListEndpoints"): _list_endpoints,
    ("sagemaker", "DescribeEndpointConfig"): _endpoint_config,
    **{
        ("sagemaker", name): _endpoint
        for name in (
            "DescribeEndpoint",
            "InvokeEndpoint",
            "InvokeEndpointAsync",
            "InvokeEndpointWithResponseStream",
            "ListTags",
            "UpdateEndpointWeightsAndCapacities",
        )
    },
    ("lambda", "Invoke"): _invoke,
    ("sns", "Publish"): _publish,
    **{
        ("logs", name): _log_stream
        for name in (
            "CreateLogGroup",
            "CreateLogStream",
            "DescribeLogStreams",
            "FilterLogEvents",
            "PutLogEvents",
        )
    },
    ("s3", "GetObject"): _object("GetObject"),
    ("s3", "HeadObject"): _object("GetObject"),
    ("s3", "PutObject"): _object("PutObject"),
    ("s3", "DeleteObject"): _object("DeleteObject"),
    ("s3", "DeleteObjects"): _object("DeleteObject"),
    ("s3", "ListObjectsV2"): _bucket,
    ("ecr", "GetAuthorizationToken"): _without_resource("ecr:GetAuthorizationToken"),
    **{
        ("ecr", name): _repository
        for name in ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
    },
    **{("ec2", name): _without_resource(f"ec2:{name}") for name in NETWORK_OPERATIONS},
    ("monitoring", "GetMetricData"): _without_resource("cloudwatch:GetMetricData"),
    ("monitoring", "PutMetricData"): _put_metric,
    ("pricing", "GetProducts"): _without_resource("pricing:GetProducts"),
    **{
        ("servicequotas", name): _without_resource(f"servicequotas:{name}")
        for name in ("ListAWSDefaultServiceQuotas", "ListServiceQuotas")
    },
    ("application-autoscaling", "RegisterScalableTarget"): _register_target,
    ("application-autoscaling", "DescribeScalableTargets"): _without_resource(
        "application-autoscaling:DescribeScalableTargets"
    ),
}
