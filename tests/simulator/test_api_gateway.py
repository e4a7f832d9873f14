"""API Gateway in the simulated cloud: paths, authorizers, events, answers, refusals."""

import base64
import http.client
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from simulator.api_gateway import routes
from simulator.api_gateway.authorizers import Authorizer
from simulator.api_gateway.gateway_responses import GatewayError
from simulator.cloud import SimulatedCloud
from simulator.lambda_runtime.process import Outcome
from simulator.sagemaker.containers import canned
from tests.support.small_stack import deployed, function, permission

pytestmark = pytest.mark.timeout(120)

# ── Paths ───────────────────────────────────────────────────────────────────────────────────────


def api(*paths: str) -> routes.Path:
    root = routes.Path("/")
    for path in paths:
        at = root
        for part in filter(None, path.split("/")):
            below = f"{at.path.rstrip('/')}/{part}"
            at = at.below.setdefault(part, routes.Path(below))
        at.methods["GET"] = {}
    return root


@pytest.mark.parametrize(
    ("asked", "path", "parameters"),
    [
        ("/", "/", {}),
        ("/flan", "/flan", {}),
        ("/flan/", "/flan", {}),
        ("/other", "/{proxy+}", {"proxy": "other"}),
        ("/other/a%20b/c", "/{proxy+}", {"proxy": "other/a b/c"}),
        # No path below it matches, so the greedy one does.
        ("/flan/v1/models", "/{proxy+}", {"proxy": "flan/v1/models"}),
        ("/assets/x/y.js", "/assets/{proxy+}", {"proxy": "x/y.js"}),
        ("/assets", "/{proxy+}", {"proxy": "assets"}),
        ("/things/7", "/things/{id}", {"id": "7"}),
        ("/things/7/parts", "/{proxy+}", {"proxy": "things/7/parts"}),
    ],
)
def test_the_most_literal_path_that_fits_as_a_whole_wins(asked, path, parameters):
    root = api("/", "/flan", "/assets/{proxy+}", "/things/{id}", "/{proxy+}")
    found = routes.find(root, asked)
    assert found is not None
    assert (found.resource.path, found.parameters) == (path, parameters)


def test_a_path_that_exists_does_not_fall_through_for_another_method():
    found = routes.find(api("/flan", "/{proxy+}"), "/flan")
    assert found is not None
    assert found.resource.method("DELETE") is None


# ── Authorizers ─────────────────────────────────────────────────────────────────────────────────

ARN = "arn:aws:execute-api:us-east-1:111122223333:api/prod"


class Asked:
    """An authorizer's function that returns `said` and counts its invocations."""

    def __init__(self, said: object, error: str = "") -> None:
        self.times = 0
        self._outcome = Outcome(json.dumps(said).encode(), error)
        self.time = 0.0

    def __call__(self, _arn: str, _payload: bytes) -> Outcome:
        self.times += 1
        return self._outcome

    def authorizer(self) -> Authorizer:
        properties = {
            "AuthorizerUri": "arn:…/functions/arn:aws:lambda:x:y:function:who/invocations",
            "AuthorizerResultTtlInSeconds": 60,
            "IdentitySource": "method.request.header.Authorization",
        }
        return Authorizer(properties, self, lambda: self.time)


def policy(effect: str, resource: str = f"{ARN}/*", **more: object) -> dict[str, object]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "me", "policyDocument": {"Statement": [statement]}, **more}


def event(token: str = "secret", method_arn: str = f"{ARN}/GET/a") -> dict[str, object]:
    headers = {"authorization": token} if token else {}
    return {"methodArn": method_arn, "headers": headers, "queryStringParameters": None}


def refused(asked: Asked, **of: str) -> str:
    with pytest.raises(GatewayError) as error:
        asked.authorizer().context(event(**of))
    return error.value.kind


def test_without_an_identity_the_authorizer_is_not_invoked():
    asked = Asked(policy("Allow"))
    assert refused(asked, token="") == "UNAUTHORIZED"
    assert asked.times == 0


def test_an_answer_is_remembered_for_its_identity_and_its_time():
    asked = Asked(policy("Allow", context={"name": "ann", "admin": True, "n": 1}))
    authorizer = asked.authorizer()
    context = authorizer.context(event())
    assert context == {"principalId": "me", "name": "ann", "admin": "true", "n": "1"}
    authorizer.context(event(method_arn=f"{ARN}/POST/b"))
    assert asked.times == 1
    authorizer.context(event("another"))
    assert asked.times == 2
    asked.time = 61
    authorizer.context(event())
    assert asked.times == 3


def test_a_remembered_policy_is_held_against_each_method():
    authorizer = Asked(policy("Allow", f"{ARN}/GET/a")).authorizer()
    authorizer.context(event())
    with pytest.raises(GatewayError, match="ACCESS_DENIED"):
        authorizer.context(event(method_arn=f"{ARN}/GET/b"))


def test_a_denial_is_remembered_too_and_a_failure_is_not():
    denied = Asked(policy("Deny"))
    authorizer = denied.authorizer()
    for _ in range(2):
        with pytest.raises(GatewayError, match="ACCESS_DENIED"):
            authorizer.context(event())
    assert denied.times == 1
    failing = Asked({"errorMessage": "no table"}, "Unhandled")
    authorizer = failing.authorizer()
    for _ in range(2):
        with pytest.raises(GatewayError, match="AUTHORIZER_FAILURE"):
            authorizer.context(event())
    assert failing.times == 2


def test_only_the_very_word_unauthorized_is_a_401():
    assert refused(Asked({"errorMessage": "Unauthorized"}, "Unhandled")) == "UNAUTHORIZED"
    assert refused(Asked({"errorMessage": "unauthorized"}, "Unhandled")) == "AUTHORIZER_FAILURE"


@pytest.mark.parametrize("said", [{}, "yes", None, policy("Allow", context={"a": ["list"]})])
def test_an_answer_that_is_no_policy_is_a_configuration_error(said):
    assert refused(Asked(said)) == "AUTHORIZER_CONFIGURATION_ERROR"


# ── A deployed API ──────────────────────────────────────────────────────────────────────────────

CODE = """
import json, time

def handler(event, context):
    if event["path"] == "/slow":
        time.sleep(5)
    if event["path"] == "/broken":
        raise ValueError("a secret of the house")
    if event["path"] == "/nonsense":
        return "nothing that can be sent"
    return {
        "statusCode": 201,
        "headers": {"X-One": "1", "WWW-Authenticate": "Bearer"},
        "multiValueHeaders": {"X-Two": ["a", "b"]},
        "body": json.dumps(event),
    }
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    with SimulatedCloud(launch=canned) as started:
        uri = {
            "Fn::Join": [
                "",
                [
                    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/",
                    {"Fn::GetAtt": ["Function", "Arn"]},
                    "/invocations",
                ],
            ]
        }
        integration = {"Type": "AWS_PROXY", "Uri": uri, "TimeoutInMillis": 2000}
        method = {
            "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Ref": "Proxy"},
            "HttpMethod": "ANY",
            "AuthorizationType": "NONE",
            "Integration": {**integration, "IntegrationHttpMethod": "POST"},
        }
        said = {
            "RestApiId": {"Ref": "Api"},
            "ResponseType": "DEFAULT_5XX",
            "ResponseParameters": {"gatewayresponse.header.X-Said": "'by the template'"},
            "ResponseTemplates": {"application/json": '{"id": "$context.requestId"}'},
        }
        root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
        proxy = {"RestApiId": {"Ref": "Api"}, "ParentId": root, "PathPart": "{proxy+}"}
        deployment = {"RestApiId": {"Ref": "Api"}}
        stage = {**deployment, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod"}
        kinds = {
            "Api": ("RestApi", {"Name": "api", "BinaryMediaTypes": ["*/*"]}),
            "Proxy": ("Resource", proxy),
            "Any": ("Method", method),
            "Root": ("Method", {**method, "ResourceId": root, "HttpMethod": "PATCH"}),
            "Said": ("GatewayResponse", said),
            "Deployment": ("Deployment", deployment),
            "Stage": ("Stage", stage),
        }
        resources = {
            name: {"Type": f"AWS::ApiGateway::{kind}", "Properties": properties}
            for name, (kind, properties) in kinds.items()
        }
        resources["Deployment"]["DependsOn"] = ["Any", "Root"]
        resources["Function"] = function(started, "answering", CODE)
        resources["Permission"] = permission("Function", "apigateway.amazonaws.com")
        deployed(started, "api", resources)
        yield started


def ask(cloud: SimulatedCloud, method: str, path: str, body: bytes | None = None):
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, {"X-Mine": "yes"})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_request_becomes_an_event_of_format_1_and_the_answer_a_response(cloud):
    response, body = ask(cloud, "PATCH", "/prod/a%20b/c?x=1&x=2&y=", b"\xff\x00")
    assert response.status == 201
    assert response.headers["X-One"] == "1"
    assert response.headers.get_all("X-Two") == ["a", "b"]
    assert response.headers["x-amzn-Remapped-WWW-Authenticate"] == "Bearer"
    event = json.loads(body)
    assert event["httpMethod"] == "PATCH"
    assert event["resource"] == "/{proxy+}"
    assert event["path"] == "/a%20b/c"
    assert event["pathParameters"] == {"proxy": "a b/c"}
    assert event["queryStringParameters"] == {"x": "2", "y": ""}
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
    assert event["headers"]["X-Mine"] == "yes"
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\x00"
    context = event["requestContext"]
    assert (context["stage"], context["path"]) == ("prod", "/prod/a%20b/c")


@pytest.mark.parametrize("path", ["/prod", "/prod/"])
def test_the_root_of_a_stage_is_passed_on_as_requested(cloud, path):
    _, body = ask(cloud, "PATCH", path)
    event = json.loads(body)
    assert (event["path"], event["requestContext"]["path"]) == ("/", path)


@pytest.mark.parametrize("path", ["/broken", "/nonsense"])
def test_a_function_that_fails_is_a_502_in_the_words_of_the_template(cloud, path):
    response, body = ask(cloud, "GET", f"/prod{path}")
    assert response.status == 502
    assert response.headers["X-Said"] == "by the template"
    assert json.loads(body) == {"id": response.headers["x-amzn-RequestId"]}


def test_a_function_is_not_waited_for_longer_than_the_integration_says(cloud):
    began = time.monotonic()
    assert ask(cloud, "GET", "/prod/slow")[0].status == 504
    assert 2 <= time.monotonic() - began < 5


def test_a_body_over_ten_megabytes_is_refused(cloud):
    response, body = ask(cloud, "POST", "/prod/large", bytes(10 * 1024 * 1024 + 1))
    assert (response.status, json.loads(body)) == (413, {"message": "Request Too Long"})


def test_a_path_outside_of_the_stages_is_forbidden_and_one_that_is_not_there_has_no_token(cloud):
    response, body = ask(cloud, "GET", "/other/a")
    assert (response.status, json.loads(body)) == (403, {"message": "Forbidden"})
    response, body = ask(cloud, "GET", "/prod/")
    assert (response.status, json.loads(body)) == (403, {"message": "Missing Authentication Token"})
