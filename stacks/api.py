"""`APIStack`: the REST API, its tokens, the authorizer and the control function.

Prompts go to the inference function of their endpoint, found by its literal name; everything else
goes to control. Knows which function serves a route, not its answers.
"""

from typing import Any

from aws_cdk import (
    Acknowledgment,
    Aws,
    Duration,
    Stack,
    Validations,
    aws_apigateway,
    aws_ssm,
)
from constructs import Construct

from stacks.alarms import add_api_alarm
from stacks.functions import Deployment, MeterFunction, Program
from stacks.gateway_responses import add_problem_responses
from stacks.iam import Grants
from stacks.iam_role import role
from stacks.inference import TIMEOUT_SECONDS
from stacks.names import STAGE
from stacks.tables import auth_table

AUTHORIZER_CACHE_SECONDS = 60
"""A revoked token works at most this much longer."""

REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50, 100
"""Of each method, for so API Gateway applies a stage's limits (its guide): one client must not use
up the account's Lambda concurrency."""

OPEN_PATHS = ("/", "/health", "/docs", "/openapi.json", "/favicon.ico", "/assets/{proxy+}")
"""Loaded by a browser before a token is entered. GET and HEAD only."""

LINK_PATH = "/extend/{link}"
"""The link in a warning. GET shows the extension, POST applies it; the signature authorizes it."""

OPEN_REQUESTS_A_SECOND, OPEN_REQUESTS_AT_ONCE = 10, 50
"""Of each open method but the root's: a request without a token costs a function's run and up to
70 KB of traffic. A browser loads some 25 files of the dashboard at once, and keeps them."""


class ApiStack(Stack):
    """Auth table, authorizer, control, REST API."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        **of: Any,
    ) -> None:
        super().__init__(scope, construct_id, **of)
        self._deployment, self._settings = deployment, deployment.settings
        self._may = Grants(self, self._settings.names)
        table = auth_table(self, self._settings)
        authorizer, control = self._authorizer(), self._control()
        for function in (authorizer, control):
            if table is not None:
                function.node.add_dependency(table)
        self._api(authorizer, control)
        add_api_alarm(self, self._settings)

    def _authorizer(self) -> MeterFunction:
        return MeterFunction(
            self,
            "Authorizer",
            self._deployment,
            Program(
                name=self._settings.names.authorizer,
                module="parkmeter.aws.authorizer",
                description="Authorizer: from an Authorization header to a token with scopes.",
                timeout_seconds=10,
                memory_megabytes=1024,
            ),
            [self._may.read_token()],
        )

    def _control(self) -> MeterFunction:
        may, names = self._may, self._settings.names
        return MeterFunction(
            self,
            "Control",
            self._deployment,
            Program(
                name=names.control,
                module="parkmeter.aws.control",
                description="All routes but prompts: status, top-ups, journal, tokens, async.",
                timeout_seconds=TIMEOUT_SECONDS,
                memory_megabytes=1024,
            ),
            [
                may.keep_meters(),
                may.sign_links(),
                may.read_all_meters(),
                may.count_minutes(),
                may.keep_tokens(),
                may.find_endpoints(),
                may.wake(names.clock),
                may.read_endpoint_logs(),
                may.read_request_counts(),
                may.invoke_any(),
                *may.use_async_buckets(),
            ],
        )

    # ── Routes ──────────────────────────────────────────────────────────────────────────────────

    def _api(self, authorizer: MeterFunction, control: MeterFunction) -> None:
        names = self._settings.names
        # By literal names and on the API's side: a permission of the function would be lost when
        # its stack is destroyed and deployed again.
        grants = self._may.call_from_api()
        self._caller = role(self, "ApiRole", "apigateway.amazonaws.com", grants)
        api = aws_apigateway.RestApi(
            self,
            "Api",
            rest_api_name=names.api,
            description="parkmeter: metered endpoints.",
            endpoint_types=[aws_apigateway.EndpointType.REGIONAL],
            binary_media_types=["*/*"],
            cloud_watch_role=False,
            deploy_options=aws_apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=REQUESTS_A_SECOND,
                throttling_burst_limit=REQUESTS_AT_ONCE,
                method_options=_open_rates(),
            ),
            default_method_options=aws_apigateway.MethodOptions(
                authorizer=self._request_authorizer(authorizer)
            ),
        )
        add_problem_responses(api)
        by_control = self._integration(names.control)
        self._open(api, by_control)
        api.root.add_resource("{proxy+}").add_method("ANY", by_control)
        for endpoint in self._settings.endpoints:
            prompts = api.root.add_resource(endpoint.resource)
            prompts.add_method("POST", self._integration(names.inference(endpoint.name)))
            # An existing path does not fall through to {proxy+} for other methods.
            prompts.add_method("ANY", by_control)
        api.deployment_stage.node.add_dependency(authorizer, control)
        _accept_api_findings(api)
        aws_ssm.CfnParameter(
            self,
            "Address",
            name=names.address_parameter,
            type="String",
            description="Address of the API, for the links in mails.",
            value=f"https://{api.rest_api_id}.execute-api.{self.region}.{Aws.URL_SUFFIX}/{STAGE}",
        )

    def _open(self, api: aws_apigateway.RestApi, by_control: aws_apigateway.Integration) -> None:
        # HEAD too: monitors call /health with it, and mail scanners call links.
        for method, path in _open_methods():
            why = _LINK_BECAUSE if path == LINK_PATH else _OPEN_BECAUSE
            made = api.root.resource_for_path(path).add_method(
                method,
                by_control,
                authorization_type=aws_apigateway.AuthorizationType.NONE,
            )
            for rule in ("APIG4", "COG4"):
                Validations.of(made).acknowledge(
                    Acknowledgment(id=f"AwsSolutions-{rule}", reason=why)
                )

    def _request_authorizer(self, authorizer: MeterFunction) -> aws_apigateway.RequestAuthorizer:
        return aws_apigateway.RequestAuthorizer(
            self,
            "TokenAuthorizer",
            handler=authorizer.function,
            identity_sources=[aws_apigateway.IdentitySource.header("Authorization")],
            results_cache_ttl=Duration.seconds(AUTHORIZER_CACHE_SECONDS),
            # The role may call the authorizer already; CDK would add all its versions.
            assume_role=self._caller.without_policy_updates(),
        )

    def _integration(self, function: str) -> aws_apigateway.Integration:
        arn = self._may.function(function)
        return aws_apigateway.Integration(
            type=aws_apigateway.IntegrationType.AWS_PROXY,
            integration_http_method="POST",
            uri=f"arn:{Aws.PARTITION}:apigateway:{self.region}:lambda:path/2015-03-31/functions/"
            f"{arn}/invocations",
            options=aws_apigateway.IntegrationOptions(
                credentials_role=self._caller, timeout=Duration.seconds(TIMEOUT_SECONDS)
            ),
        )


def _open_methods() -> list[tuple[str, str]]:
    """Return the methods that need no token, each with its path."""
    loaded = [(method, path) for path in OPEN_PATHS for method in ("GET", "HEAD")]
    return [*loaded, *((method, LINK_PATH) for method in ("GET", "HEAD", "POST"))]


def _open_rates() -> dict[str, aws_apigateway.MethodDeploymentOptions]:
    """Return the limits of the open methods; CDK has no form of the root that is sure to work."""
    limits = aws_apigateway.MethodDeploymentOptions(
        throttling_rate_limit=OPEN_REQUESTS_A_SECOND,
        throttling_burst_limit=OPEN_REQUESTS_AT_ONCE,
    )
    return {f"{path}/{method}": limits for method, path in _open_methods() if path != "/"}


_OPEN_BECAUSE = (
    "health, documentation and the dashboard's files hold no data of users, and a browser loads "
    "them before a token is entered"
)
_LINK_BECAUSE = (
    "the recipient of the mail may extend: the link is signed, works once and only until the "
    "expiry that it warns of, and has no effect before it is confirmed"
)

_ACCEPTED = {
    "APIG1": """access logs need a role that is set for the whole account, which this project must
        not change; control and inference log their answers""",
    "APIG2": """bodies are validated by control, and prompts by the model, which has its own
        contract""",
    "APIG3": """a web ACL costs money every month; every route but the open ones needs a token, and
        the stage is throttled""",
    "APIG6": """execution logs need the same account-wide role, and would contain prompts""",
    "COG4": """tokens are in the table `auth` and checked by the request authorizer""",
}
"""Findings of cdk-nag's pack AwsSolutions in the API, each with the reason to accept it."""


def _accept_api_findings(api: aws_apigateway.RestApi) -> None:
    for rule, reason in _ACCEPTED.items():
        Validations.of(api).acknowledge(
            Acknowledgment(id=f"AwsSolutions-{rule}", reason=" ".join(reason.split()))
        )
