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


_Find = Callable[[Request], Needs]


def _each(service: str, names: str, find: _Find) -> dict[tuple[str, str], _Find]:
    """Return the entries of operations that need alike; `names` with spaces."""
    return {(service, name): find for name in names.split()}


def _alone(service: str, names: str, actions_of: str = "") -> dict[tuple[str, str], _Find]:
    """Return the entries of operations without a resource; `actions_of`: IAM's other prefix."""
    prefix = actions_of or service
    return {(service, name): _without_resource(f"{prefix}:{name}") for name in names.split()}


_OPERATIONS: dict[tuple[str, str], _Find] = {
    **_each("dynamodb", "DeleteItem GetItem PutItem UpdateItem", dynamodb_calls.one_item),
    ("dynamodb", "TransactWriteItems"): dynamodb_calls.transaction,
    ("dynamodb", "BatchGetItem"): dynamodb_calls.batch_get,
    ("dynamodb", "Query"): dynamodb_calls.query,
    ("dynamodb", "Scan"): dynamodb_calls.scan,
    **_each(
        "ssm",
        "DeleteParameter GetParameter GetParameters GetParametersByPath PutParameter",
        _parameter,
    ),
    ("sagemaker", "CreateEndpoint"): _create_endpoint,
    ("sagemaker", "DeleteEndpoint"): _delete_endpoint,
    **_alone("sagemaker", "ListEndpoints"),
    ("sagemaker", "DescribeEndpointConfig"): _endpoint_config,
    **_each(
        "sagemaker",
        "DescribeEndpoint InvokeEndpoint InvokeEndpointAsync InvokeEndpointWithResponseStream "
        "ListTags UpdateEndpointWeightsAndCapacities",
        _endpoint,
    ),
    ("lambda", "Invoke"): _invoke,
    ("sns", "Publish"): _publish,
    **_each(
        "logs",
        "CreateLogGroup CreateLogStream DescribeLogStreams FilterLogEvents PutLogEvents",
        _log_stream,
    ),
    **_each("s3", "GetObject HeadObject", _object("GetObject")),
    ("s3", "PutObject"): _object("PutObject"),
    **_each("s3", "DeleteObject DeleteObjects", _object("DeleteObject")),
    ("s3", "ListObjectsV2"): _bucket,
    **_alone("ecr", "GetAuthorizationToken"),
    **_each("ecr", "BatchCheckLayerAvailability BatchGetImage GetDownloadUrlForLayer", _repository),
    **_alone("ec2", " ".join(NETWORK_OPERATIONS)),
    **_alone("monitoring", "GetMetricData", "cloudwatch"),
    ("monitoring", "PutMetricData"): _put_metric,
    **_alone("pricing", "GetProducts"),
    **_alone("servicequotas", "ListAWSDefaultServiceQuotas ListServiceQuotas"),
    ("application-autoscaling", "RegisterScalableTarget"): _register_target,
    **_alone("application-autoscaling", "DescribeScalableTargets"),
}
