"""`APIStack`: the address that people know. One REST API, tokens, and two kinds of functions.

Prompts go to the inference function of their endpoint, found by its literal name; everything else
goes to control. Knows how routes are shared out, not what they answer.
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

from stacks.functions import Deployment, MeterFunction, Program
from stacks.gateway_responses import speak_problems
from stacks.iam import Grants, role
from stacks.inference import TIMEOUT_SECONDS
from stacks.names import STAGE
from stacks.tables import auth_table

AUTHORIZER_CACHE_SECONDS = 60
"""A revoked token works for so long at most."""

REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50, 100
"""For the whole stage: keeps a client gone wild from using up the account's Lambda concurrency."""

OPEN_PATHS = ("/", "/health", "/docs", "/openapi.json", "/favicon.ico", "/assets/{proxy+}")
"""What a browser loads before anybody has typed a token. GET only."""

LINK_PATH = "/extend/{link}"
"""The link in a warning. GET shows what it would do, POST does it; its signature is who asks."""


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
        table = auth_table(self, self._settings.names.auth_table)
        authorizer, control = self._authorizer(), self._control()
        for function in (authorizer, control):
            function.node.add_dependency(table)
        self._api(authorizer, control)

    def _authorizer(self) -> MeterFunction:
        return MeterFunction(
            self,
            "Authorizer",
            self._deployment,
            Program(
                name=self._settings.names.authorizer,
                module="parkmeter.aws.authorizer",
                description="Who asks: from an Authorization header to a token with scopes.",
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
                description="All but prompts: status, top-ups, journal, tokens, async, docs.",
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
        # By literal names, and from this side: a permission on the function's side would go
        # whenever its stack is destroyed and made again.
        grants = self._may.call_from_api()
        self._caller = role(self, "ApiRole", "apigateway.amazonaws.com", grants)
        api = aws_apigateway.RestApi(
            self,
            "Api",
            rest_api_name=names.api,
            description="parkmeter: endpoints with a meter.",
            endpoint_types=[aws_apigateway.EndpointType.REGIONAL],
            binary_media_types=["*/*"],
            cloud_watch_role=False,
            deploy_options=aws_apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=REQUESTS_A_SECOND,
                throttling_burst_limit=REQUESTS_AT_ONCE,
            ),
            default_method_options=aws_apigateway.MethodOptions(
                authorizer=self._request_authorizer(authorizer)
            ),
        )
        speak_problems(api)
        by_control = self._integration(names.control)
        self._open(api, by_control)
        api.root.add_resource("{proxy+}").add_method("ANY", by_control)
        for endpoint in self._settings.endpoints:
            prompts = api.root.add_resource(endpoint.resource)
            prompts.add_method("POST", self._integration(names.inference(endpoint.name)))
            # A path that exists does not fall through to {proxy+}, whatever the method.
            prompts.add_method("ANY", by_control)
        api.deployment_stage.node.add_dependency(authorizer, control)
        _accept_api_findings(api)
        aws_ssm.CfnParameter(
            self,
            "Address",
            name=names.address_parameter,
            type="String",
            description="Where people reach the API; for the links in mails.",
            value=f"https://{api.rest_api_id}.execute-api.{self.region}.{Aws.URL_SUFFIX}/{STAGE}",
        )

    def _open(self, api: aws_apigateway.RestApi, by_control: aws_apigateway.Integration) -> None:
        # HEAD too: so those who watch a service ask /health, and scanners of mails ask links.
        for method, path, why in (
            *((method, path, _OPEN_BECAUSE) for path in OPEN_PATHS for method in ("GET", "HEAD")),
            *((method, LINK_PATH, _LINK_BECAUSE) for method in ("GET", "HEAD", "POST")),
        ):
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
            # It may call the authorizer already; CDK would add all of its versions.
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


_OPEN_BECAUSE = (
    "health, documentation and the dashboard's files hold nothing of anybody's, and a browser "
    "loads them before a token is typed"
)
_LINK_BECAUSE = (
    "whoever has the mail may extend: the link is signed, works once and until the expiry that it "
    "warns of, and does nothing before it is confirmed"
)

_ACCEPTED = {
    "APIG1": """access logs need a role that is set once for the whole account, which is not this
        project's to set; control and inference log what they answer""",
    "APIG2": """bodies are checked where they are understood: by control, and by the model, whose
        contract is its own""",
    "APIG3": """a web ACL costs money every month; every route but the open ones asks for a token,
        and the stage is throttled""",
    "APIG6": """execution logs need the same account-wide role, and would hold people's prompts""",
    "COG4": """tokens come from the table `auth`, by the request authorizer, as documented""",
}
"""What cdk-nag's pack AwsSolutions finds in the API, with the reason why it stays."""


def _accept_api_findings(api: aws_apigateway.RestApi) -> None:
    for rule, reason in _ACCEPTED.items():
        Validations.of(api).acknowledge(
            Acknowledgment(id=f"AwsSolutions-{rule}", reason=" ".join(reason.split()))
        )
