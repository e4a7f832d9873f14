"""API calls as the permissions they need, read from the requests that boto3 really sends."""

import io
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError

from simulator.iam.call import Call, UncheckedCallError
from simulator.iam.calls import needs
from simulator.iam.reach import Place
from simulator.iam.wire import HttpRequest, Signature, call_of, denial, signature_of

HERE = Place("111122223333", "us-east-1")
TABLE = "arn:aws:dynamodb:us-east-1:111122223333:table/meters"
AUTH = "arn:aws:dynamodb:us-east-1:111122223333:table/auth"
ENDPOINTS = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/"


class Known:
    """An account with two tables, a tagged endpoint, a scaled one and a missing object."""

    def partition_key(self, table: str) -> str:
        return {"meters": "pk", "auth": "token"}.get(table, "")

    def tags(self, arn: str) -> Mapping[str, str]:
        return {"team": "blue"} if arn.endswith("/mine") else {}

    def lacks_object(self, _bucket: str, key: str) -> bool:
        return key == "missing"

    def trusted_by(self, _role: str) -> list[str]:
        return []

    def scalable_targets(self, endpoint: str) -> list[str]:
        arn = "arn:aws:application-autoscaling:us-east-1:111122223333:scalable-target/0a"
        return [arn] if endpoint == "scaled" else []


class Body(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def sent(service: str, operation: str, **parameters: Any) -> tuple[Signature | None, Call, str]:
    """Return the signature and the call in boto3's request, and the code of a denied answer."""
    client = boto3.client(
        service,
        region_name=HERE.region,
        endpoint_url="http://localhost:9",
        aws_access_key_id="ASIAX",
        aws_secret_access_key="secret",
    )
    seen: list[tuple[Signature | None, Call]] = []

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        http = http_request(request)
        signature = signature_of(http.headers.get("authorization", ""), http.query)
        assert signature is not None
        seen.append((signature, call_of(http, signature.service)))
        denied = denial(signature.service, "no")
        return AWSResponse(request.url, denied.status, denied.headers, Body(denied.body))

    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(**parameters)
    client.close()
    assert error.value.response["Error"]["Message"] == "no"
    return *seen[0], error.value.response["Error"]["Code"]


def http_request(request: AWSPreparedRequest) -> HttpRequest:
    address, _, query = request.url.partition("?")
    host, _, path = address.removeprefix("http://").partition("/")
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    body = body if isinstance(body, bytes | bytearray) else body.read()
    return HttpRequest(request.method, host, f"/{path}", query, headers, bytes(body))


KEY = {"pk": {"S": "flan"}, "sk": {"S": "meter"}}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        (
            "dynamodb",
            "get_item",
            {"TableName": "meters", "Key": KEY},
            [("dynamodb:GetItem", TABLE, {"dynamodb:LeadingKeys": ("flan",)})],
        ),
        (
            "dynamodb",
            "transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": "meters", "Item": KEY}},
                    {"Delete": {"TableName": "auth", "Key": {"token": {"S": "t"}}}},
                    {
                        "ConditionCheck": {
                            "TableName": "meters",
                            "Key": KEY,
                            "ConditionExpression": "attribute_exists(pk)",
                        }
                    },
                ]
            },
            [
                ("dynamodb:PutItem", TABLE, {"dynamodb:LeadingKeys": ("flan",)}),
                ("dynamodb:DeleteItem", AUTH, {"dynamodb:LeadingKeys": ("t",)}),
                ("dynamodb:ConditionCheckItem", TABLE, {"dynamodb:LeadingKeys": ("flan",)}),
            ],
        ),
        (
            "dynamodb",
            "batch_get_item",
            {"RequestItems": {"meters": {"Keys": [KEY, {**KEY, "pk": {"S": "phi"}}]}}},
            [("dynamodb:BatchGetItem", TABLE, {"dynamodb:LeadingKeys": ("flan", "phi")})],
        ),
        (
            "dynamodb",
            "query",
            {
                "TableName": "meters",
                "KeyConditionExpression": "pk = :p AND sk <= :s",
                "ExpressionAttributeValues": {":p": {"S": "flan"}, ":s": {"S": "z"}},
            },
            [("dynamodb:Query", TABLE, {"dynamodb:LeadingKeys": ("flan",)})],
        ),
        (
            "dynamodb",
            "query",
            {
                "TableName": "meters",
                "IndexName": "unsettled",
                "KeyConditionExpression": "unsettled = :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            },
            [("dynamodb:Query", f"{TABLE}/index/unsettled", {"dynamodb:LeadingKeys": ("1",)})],
        ),
        (
            "ssm",
            "get_parameters",
            {"Names": ["/p/a", "plain"]},
            [
                ("ssm:GetParameters", "arn:aws:ssm:us-east-1:111122223333:parameter/p/a", {}),
                ("ssm:GetParameters", "arn:aws:ssm:us-east-1:111122223333:parameter/plain", {}),
            ],
        ),
        (
            "ssm",
            "get_parameters_by_path",
            {"Path": "/p"},
            [("ssm:GetParametersByPath", "arn:aws:ssm:us-east-1:111122223333:parameter/p", {})],
        ),
        (
            "sagemaker",
            "create_endpoint",
            {
                "EndpointName": "Mine",
                "EndpointConfigName": "Config-1",
                "Tags": [{"Key": "team", "Value": "blue"}],
            },
            [
                (
                    "sagemaker:CreateEndpoint",
                    f"{ENDPOINTS}mine",
                    {"aws:RequestTag/team": ("blue",)},
                ),
                (
                    "sagemaker:CreateEndpoint",
                    "arn:aws:sagemaker:us-east-1:111122223333:endpoint-config/config-1",
                    {"aws:RequestTag/team": ("blue",)},
                ),
                ("sagemaker:AddTags", f"{ENDPOINTS}mine", {"aws:RequestTag/team": ("blue",)}),
            ],
        ),
        (
            "sagemaker",
            "describe_endpoint",
            {"EndpointName": "MINE"},
            [
                (
                    "sagemaker:DescribeEndpoint",
                    f"{ENDPOINTS}mine",
                    {"aws:ResourceTag/team": ("blue",)},
                )
            ],
        ),
        (
            "sagemaker",
            "delete_endpoint",
            {"EndpointName": "scaled"},
            [
                ("sagemaker:DeleteEndpoint", f"{ENDPOINTS}scaled", {}),
                (
                    "application-autoscaling:DeregisterScalableTarget",
                    "arn:aws:application-autoscaling:us-east-1:111122223333:scalable-target/0a",
                    {},
                ),
            ],
        ),
        (
            "lambda",
            "invoke",
            {"FunctionName": "clock"},
            [("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:111122223333:function:clock", {})],
        ),
        (
            "sns",
            "publish",
            {"TopicArn": "arn:aws:sns:us-east-1:111122223333:t", "Message": "m"},
            [("sns:Publish", "arn:aws:sns:us-east-1:111122223333:t", {})],
        ),
        (
            "logs",
            "filter_log_events",
            {"logGroupName": "/g"},
            [
                (
                    "logs:FilterLogEvents",
                    "arn:aws:logs:us-east-1:111122223333:log-group:/g:log-stream:",
                    {},
                )
            ],
        ),
        (
            "cloudwatch",
            "get_metric_data",
            {"MetricDataQueries": [], "StartTime": 0, "EndTime": 60},
            [("cloudwatch:GetMetricData", "*", {})],
        ),
        (
            "s3",
            "get_object",
            {"Bucket": "results", "Key": "a/b"},
            [("s3:GetObject", "arn:aws:s3:::results/a/b", {"s3:ResourceAccount": (HERE.account,)})],
        ),
        (
            "s3",
            "get_object",
            {"Bucket": "results", "Key": "missing"},
            [
                ("s3:GetObject", "arn:aws:s3:::results/missing", {}),
                ("s3:ListBucket", "arn:aws:s3:::results", {}),
            ],
        ),
        (
            "s3",
            "put_object",
            {"Bucket": "results", "Key": "a b", "Body": b"x"},
            [("s3:PutObject", "arn:aws:s3:::results/a b", {})],
        ),
        (
            "s3",
            "list_objects_v2",
            {"Bucket": "results"},
            [("s3:ListBucket", "arn:aws:s3:::results", {})],
        ),
        (
            "s3",
            "delete_objects",
            {"Bucket": "results", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b/c"}]}},
            [
                ("s3:DeleteObject", "arn:aws:s3:::results/a", {}),
                ("s3:DeleteObject", "arn:aws:s3:::results/b/c", {}),
            ],
        ),
        ("pricing", "get_products", {"ServiceCode": "x"}, [("pricing:GetProducts", "*", {})]),
    ],
)
def test_a_call_needs_these_permissions_and_a_denial_is_its_services_own_error(
    service: str, operation: str, parameters: dict[str, Any], expected: list[Any]
):
    signature, call, code = sent(service, operation, **parameters)
    assert signature is not None
    assert signature.access_key == "ASIAX"
    assert code in {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
    found = needs(call, HERE, Known())
    assert [(need.action, need.resource) for need in found] == [one[:2] for one in expected]
    for need, (_, _, context) in zip(found, expected, strict=True):
        assert need.context.items() >= context.items()


def test_a_presigned_address_is_a_call_of_who_signed_it():
    client = boto3.client(
        "s3",
        region_name=HERE.region,
        aws_access_key_id="ASIAX",
        aws_secret_access_key="secret",
        config=boto3.session.Config(signature_version="s3v4"),
    )
    address = client.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"})
    client.close()
    assert signature_of("", address.partition("?")[2]) == Signature("ASIAX", HERE.region, "s3")


@pytest.mark.parametrize(
    ("service", "operation"), [("dynamodb", "CreateTable"), ("sagemaker", "StopEverything")]
)
def test_a_call_that_is_not_in_the_table_cannot_go_unchecked(service: str, operation: str):
    with pytest.raises(UncheckedCallError, match=operation):
        needs(Call(service, operation, {}), HERE, Known())


def test_a_query_by_something_else_than_the_partition_key_is_not_guessed():
    parameters = {
        "TableName": "meters",
        "KeyConditionExpression": "sk = :s",
        "ExpressionAttributeValues": {":s": {"S": "x"}},
    }
    with pytest.raises(UncheckedCallError, match="sk"):
        needs(Call("dynamodb", "Query", parameters), HERE, Known())
