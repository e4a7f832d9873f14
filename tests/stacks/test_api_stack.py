"""The API: routes, authorizer, its own errors."""

import json
import re

from parkmeter.web.problems import type_of
from tests.support.synthesized import Templates, flat

STACK = "APIStack"


OPEN = {
    (method, path)
    for method in ("GET", "HEAD")
    for path in ("/", "/health", "/docs", "/openapi.json", "/favicon.ico", "/assets/{proxy+}")
} | {(method, "/extend/{link}") for method in ("GET", "HEAD", "POST")}


def _paths(templates: Templates) -> dict[str, str]:
    """Path of each resource by its logical id."""
    resources = templates.of_type(STACK, "AWS::ApiGateway::Resource")

    def path(logical_id: str) -> str:
        properties = resources[logical_id]["Properties"]
        parent = properties["ParentId"].get("Ref")
        return f"{path(parent) if parent else ''}/{properties['PathPart']}"

    return {logical_id: path(logical_id) for logical_id in resources}


def _routes(templates: Templates) -> dict[tuple[str, str], dict[str, object]]:
    paths = _paths(templates)
    return {
        (
            method["Properties"]["HttpMethod"],
            paths.get(method["Properties"]["ResourceId"].get("Ref", ""), "/"),
        ): method["Properties"]
        for method in templates.of_type(STACK, "AWS::ApiGateway::Method").values()
    }


def _function(method: dict[str, object]) -> str:
    found = re.search(r"function:([^/]+)/invocations", flat(method["Integration"]["Uri"]))
    assert found
    return found[1]


def test_prompts_go_to_their_own_function_and_everything_else_to_control(several: Templates):
    served = {route: _function(method) for route, method in _routes(several).items()}
    assert served == {
        **dict.fromkeys(OPEN, "acme-control"),
        ("ANY", "/{proxy+}"): "acme-control",
        ("POST", "/flan"): "acme-flan-t5-inference",
        ("ANY", "/flan"): "acme-control",
        ("POST", "/falcon"): "acme-falcon-7b-inference",
        ("ANY", "/falcon"): "acme-control",
        ("POST", "/qwen"): "acme-qwen-7b-inference",
        ("ANY", "/qwen"): "acme-control",
        ("POST", "/smollm"): "acme-smollm-inference",
        ("ANY", "/smollm"): "acme-control",
    }


def test_the_functions_are_those_that_other_stacks_make(several: Templates):
    made = {
        resource["Properties"]["FunctionName"]
        for _, _, resource in several.everything()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    assert {_function(method) for method in _routes(several).values()} <= made


def test_only_what_a_browser_loads_first_and_signed_links_are_open(seed: Templates):
    open_routes = {
        route for route, method in _routes(seed).items() if method["AuthorizationType"] == "NONE"
    }
    assert open_routes == OPEN
    for route, method in _routes(seed).items():
        if route not in open_routes:
            assert method["AuthorizationType"] == "CUSTOM", route
            assert method["AuthorizerId"], route


def test_the_authorizer_reads_the_header_and_forgets_within_a_minute(seed: Templates):
    authorizer = seed.one(STACK, "AWS::ApiGateway::Authorizer")["Properties"]
    assert authorizer["Type"] == "REQUEST"
    assert authorizer["IdentitySource"] == "method.request.header.Authorization"
    assert authorizer["AuthorizerResultTtlInSeconds"] <= 60
    assert flat(authorizer["AuthorizerCredentials"]).startswith("<ApiRole")


def test_the_stage_is_the_ancestors_and_bodies_pass_untouched(seed: Templates):
    assert seed.one(STACK, "AWS::ApiGateway::Stage")["Properties"]["StageName"] == "prod"
    api = seed.one(STACK, "AWS::ApiGateway::RestApi")["Properties"]
    assert api["BinaryMediaTypes"] == ["*/*"]
    for method in _routes(seed).values():
        assert method["Integration"]["Type"] == "AWS_PROXY"
        assert method["Integration"]["TimeoutInMillis"] == 29_000


def test_what_is_open_has_a_lower_rate(seed: Templates):
    settings = seed.one(STACK, "AWS::ApiGateway::Stage")["Properties"]["MethodSettings"]
    rates = {
        (one["HttpMethod"], one["ResourcePath"]): one["ThrottlingRateLimit"] for one in settings
    }
    assert rates == {
        # API Gateway applies it to each method by itself, not to the stage as a whole.
        ("*", "/*"): 50,
        **{(method, "/" + path.replace("/", "~1")): 10 for method, path in OPEN if path != "/"},
    }
    assert ("GET", "/~1assets~1{proxy+}") in rates


def test_the_gateways_own_errors_are_problems_with_the_handlers_codes(seed: Templates):
    said = {
        one["Properties"]["ResponseType"]: one["Properties"]
        for one in seed.of_type(STACK, "AWS::ApiGateway::GatewayResponse").values()
    }
    for kind, one in said.items():
        headers = one["ResponseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        # API Gateway puts in a JSON string, quotes and all.
        body = one["ResponseTemplates"]["application/json"].replace(
            "$context.error.messageString", '"because"'
        )
        problem = json.loads(body)
        assert problem["type"] == type_of(problem["code"]), kind
        assert problem["detail"], kind
        assert problem["message"] == problem["error"]["message"] == problem["detail"], kind
        assert (problem["error"]["code"], problem["error"]["param"]) == (problem["code"], None)
        if "StatusCode" in one:
            assert problem["status"] == int(one["StatusCode"]), kind
    status = {kind: one.get("StatusCode") for kind, one in said.items()}
    assert status == {
        "UNAUTHORIZED": "401",
        "ACCESS_DENIED": "403",
        "MISSING_AUTHENTICATION_TOKEN": "404",
        "REQUEST_TOO_LARGE": "413",
        "THROTTLED": "429",
        "AUTHORIZER_FAILURE": "500",
        "INTEGRATION_FAILURE": "503",
        "INTEGRATION_TIMEOUT": "504",
        "DEFAULT_4XX": None,
        "DEFAULT_5XX": None,
    }
    assert "WWW-Authenticate" in str(said["UNAUTHORIZED"]["ResponseParameters"])
    # Lambda's refusal of a call, at the cap of a function or the quota of the account.
    busy = said["INTEGRATION_FAILURE"]["ResponseParameters"]
    assert busy["gatewayresponse.header.Retry-After"] == "'5'"


def test_an_api_that_mostly_fails_is_an_alarm(seed: Templates):
    alarm = seed.one(STACK, "AWS::CloudWatch::Alarm")["Properties"]
    assert alarm["AlarmName"] == "parkmeter-api-failing"
    metrics = {
        one["MetricStat"]["Metric"]["MetricName"]: one["MetricStat"]["Metric"]["Dimensions"]
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }
    of_stage = [{"Name": "ApiName", "Value": "parkmeter"}, {"Name": "Stage", "Value": "prod"}]
    assert metrics == {"Count": of_stage, "5XXError": of_stage}
    assert flat(alarm["AlarmActions"][0]).endswith(":parkmeter-notifications")


def test_a_deployment_waits_for_all_routes_and_words(several: Templates):
    (deployment,) = several.of_type(STACK, "AWS::ApiGateway::Deployment").values()
    needed = set(deployment["DependsOn"])
    for kind in ("Method", "Resource", "GatewayResponse"):
        assert set(several.of_type(STACK, f"AWS::ApiGateway::{kind}")) <= needed


def test_the_auth_table_has_the_ancestors_key_and_goes_with_the_stack(seed: Templates):
    table = seed.one(STACK, "AWS::DynamoDB::Table")
    assert table["Properties"]["KeySchema"] == [{"AttributeName": "token", "KeyType": "HASH"}]
    assert table["DeletionPolicy"] == "Delete"


def test_control_finds_the_async_stack_by_literal_names(seed: Templates):
    definition = seed.one("FlanT5MeteredStack", "AWS::SSM::Parameter")["Properties"]["Value"]
    given = json.loads(flat(definition))["async"]
    assert given == {
        "endpoint": "parkmeter-flan-t5-async",
        "bucket": "parkmeter-flan-t5-async-<AWS::AccountId>-us-east-1",
        "stack": "FlanT5AsyncStack",
    }
    stack = "FlanT5AsyncStack"
    made = seed.one(stack, "AWS::S3::Bucket")["Properties"]["BucketName"]
    assert flat(made) == given["bucket"]
    endpoint = seed.one(stack, "AWS::SageMaker::Endpoint")["Properties"]["EndpointName"]
    assert endpoint == given["endpoint"]
