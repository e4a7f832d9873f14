"""Least privilege: what each role may do, statement by statement, and roles made of that.

A resource with a `*` needs a reason, which is written into the template next to the role and given
to cdk-nag for exactly that resource. No action has a `*`. Knows names, no stacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Acknowledgment, Aws, CfnResource, Stack, Validations, aws_iam
from constructs import Construct

from stacks.names import (
    ASYNC_FAILURES,
    ASYNC_INPUTS,
    ASYNC_RESULTS,
    OUTBOX_PARTITION,
    SECRET_PARTITION,
    TAG,
    UNSETTLED_INDEX,
    Names,
    endpoint_log_group,
    use_key,
)

WILDCARDS = "parkmeter:wildcards"
"""Key in a role's metadata: for each resource with a `*` the reason."""


_ONE_FOR_EACH = (
    "one for each endpoint of this deployment, all under its prefix; listed one by one they would "
    "outgrow what IAM takes, 10,240 characters a role, at some twenty endpoints"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    because: str = ""

    def __post_init__(self) -> None:
        if any("*" in action for action in self.actions):
            raise ValueError(f"{self.actions}: name each action")
        if self.wildcards and not self.because:
            raise ValueError(f"{self.wildcards}: a wildcard needs a reason")

    @property
    def wildcards(self) -> list[str]:
        """Resources that match more than one thing."""
        return [resource for resource in self.resources if "*" in resource]

    def statement(self) -> aws_iam.PolicyStatement:
        """As IAM takes it."""
        return aws_iam.PolicyStatement(
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions) or None,
        )


def role(scope: Construct, role_id: str, service: str, grants: Sequence[Grant]) -> aws_iam.Role:
    """A role of a service that may do this and no more.

    The policy is part of the role and no resource of its own: whoever depends on the role depends
    on what it may do, also while the stack is being destroyed.
    """
    made = aws_iam.Role(
        scope,
        role_id,
        assumed_by=aws_iam.ServicePrincipal(service),
        inline_policies={
            "grants": aws_iam.PolicyDocument(statements=[grant.statement() for grant in grants])
        },
    )
    reasons = _reasons(grants)
    if reasons:
        default = made.node.default_child
        assert isinstance(default, CfnResource)  # noqa: S101 (a role always has one)
        default.add_metadata(WILDCARDS, reasons)
        Validations.of(made).acknowledge(
            *(
                Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{resource}]", reason=reason)
                for resource, reason in reasons.items()
            )
        )
    return made


def _reasons(grants: Sequence[Grant]) -> dict[str, str]:
    """For each resource with a `*`, as cdk-nag spells it, every reason once."""
    reasons: dict[str, list[str]] = {}
    for grant in grants:
        for resource in map(_readable, grant.wildcards):
            known = reasons.setdefault(resource, [])
            known += [grant.because] if grant.because not in known else []
    return {resource: "; ".join(known) for resource, known in reasons.items()}


def _readable(resource: str) -> str:
    for token, word in ((Aws.PARTITION, "Partition"), (Aws.ACCOUNT_ID, "AccountId")):
        resource = resource.replace(token, f"<AWS::{word}>")
    return resource


class Grants:
    """The statements of one deployment in one region."""

    def __init__(self, stack: Stack, names: Names) -> None:
        self._region = stack.region
        self._names = names

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and region."""
        return f"arn:{Aws.PARTITION}:{service}:{self._region}:{Aws.ACCOUNT_ID}:{resource}"

    def sagemaker(self, kind: str, name: str) -> str:
        """A SageMaker ARN: always lower case there, and IAM compares by case."""
        return self.arn("sagemaker", f"{kind}/{name.lower()}")

    def function(self, name: str) -> str:
        """ARN of a function by its literal name."""
        return self.arn("lambda", f"function:{name}")

    def write_logs(self, group: str) -> Grant:
        """Write into a log group; not create it, or it would come back after its stack is gone."""
        return Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (self.arn("logs", f"log-group:{group}:*"),),
            because="the streams of this one log group; their names are made at run time",
        )

    def see_log_streams(self, group: str) -> Grant:
        """What SageMaker's containers ask before they write (its guide, CreateModel roles)."""
        return Grant(("logs:DescribeLogStreams",), (self.arn("logs", f"log-group:{group}"),))

    # ── Meters and tokens ───────────────────────────────────────────────────────────────────────

    def read_meter(self, endpoint: str) -> Grant:
        """Look at one endpoint's meter, and nothing else of the table."""
        return Grant(
            ("dynamodb:GetItem",),
            (self._table(self._names.meters_table),),
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [endpoint]}},
        )

    def note_use(self, endpoint: str) -> Grant:
        """Write down when an endpoint was used, and nothing else of the table."""
        return Grant(
            ("dynamodb:PutItem",),
            (self._table(self._names.meters_table),),
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [use_key(endpoint)]}},
        )

    def keep_meters(self) -> Grant:
        """Read and commit meters and journal; what signs links is another matter."""
        return Grant(
            (
                "dynamodb:ConditionCheckItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
            ),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringNotEquals": {"dynamodb:LeadingKeys": [SECRET_PARTITION]}},
        )

    def sign_links(self) -> Grant:
        """Read what signs the links in mails, and make it once."""
        return Grant(
            ("dynamodb:GetItem", "dynamodb:PutItem"),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [SECRET_PARTITION]}},
        )

    def empty_outbox(self) -> Grant:
        """Claim what is posted, and take away what was mailed; nothing else of the table."""
        return Grant(
            ("dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [OUTBOX_PARTITION]}},
        )

    def list_unsettled(self) -> Grant:
        """Find the meters that need looking at."""
        table = self._table(self._names.meters_table)
        return Grant(("dynamodb:Query",), (f"{table}/index/{UNSETTLED_INDEX}",))

    def read_all_meters(self) -> Grant:
        """Read many meters at once."""
        return Grant(("dynamodb:BatchGetItem",), (self._table(self._names.meters_table),))

    def count_minutes(self) -> Grant:
        """Count what a token adds in a day, in the transaction that adds it."""
        return Grant(("dynamodb:UpdateItem",), (self._table(self._names.meters_table),))

    def read_token(self) -> Grant:
        """Look a token up."""
        return Grant(("dynamodb:GetItem",), (self._table(self._names.auth_table),))

    def keep_tokens(self) -> Grant:
        """List, issue and revoke tokens."""
        return Grant(
            ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan"),
            (self._table(self._names.auth_table),),
        )

    # ── Parameters ──────────────────────────────────────────────────────────────────────────────

    def find_endpoints(self) -> Grant:
        """List the definitions that the metered stacks wrote."""
        return Grant(
            ("ssm:GetParametersByPath",),
            self._below(self._names.endpoints_path),
            because="one parameter for each endpoint; which ones exist is found out at run time",
        )

    def read_endpoints(self) -> Grant:
        """Read definitions by name."""
        return Grant(
            ("ssm:GetParameters",),
            self._below(self._names.endpoints_path)[1:],
            because="one parameter for each endpoint; which ones exist is found out at run time",
        )

    def read_endpoint(self, endpoint: str) -> Grant:
        """Read one endpoint's definition."""
        path = f"parameter{self._names.endpoints_path}{endpoint}"
        return Grant(("ssm:GetParameter",), (self.arn("ssm", path),))

    def read_hours(self) -> Grant:
        """Find the endpoints that have hours."""
        return Grant(
            ("ssm:GetParametersByPath",),
            self._below(self._names.hours_path),
            because="one parameter for each endpoint; which ones exist is found out at run time",
        )

    def find_address(self) -> Grant:
        """Read where people reach the API."""
        parameter = f"parameter{self._names.address_parameter}"
        return Grant(("ssm:GetParameter",), (self.arn("ssm", parameter),))

    def publish_expiry(self) -> Grant:
        """Read and write the published expiries."""
        return Grant(
            ("ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"),
            self._below(self._names.expiry_path),
            because="one parameter for each endpoint; which ones exist is found out at run time",
        )

    def withdraw_expiry(self) -> Grant:
        """Remove a published expiry."""
        return Grant(
            ("ssm:DeleteParameter",),
            self._below(self._names.expiry_path)[1:],
            because="one parameter for each endpoint of the stack",
        )

    # ── SageMaker ───────────────────────────────────────────────────────────────────────────────

    def start_endpoints(self) -> list[Grant]:
        """Create endpoints, only with our name and our tag."""
        tagged = {"StringEquals": {f"aws:RequestTag/{TAG}": self._names.prefix}}
        ours = self.sagemaker("endpoint", f"{self._names.endpoint_prefix}*")
        mine = "the endpoints of this deployment all begin with its prefix"
        return [
            Grant(("sagemaker:AddTags", "sagemaker:CreateEndpoint"), (ours,), tagged, mine),
            Grant(
                ("sagemaker:CreateEndpoint",),
                (self.sagemaker("endpoint-config", "*"),),
                because="CloudFormation makes up the names of EndpointConfigs, so that a changed "
                "one never collides with the one that a live endpoint still uses",
            ),
        ]

    def see_and_stop_endpoints(self) -> list[Grant]:
        """Describe endpoints; delete those with our name and our tag."""
        ours = self.sagemaker("endpoint", f"{self._names.endpoint_prefix}*")
        tagged = {"StringEquals": {f"aws:ResourceTag/{TAG}": self._names.prefix}}
        return [
            Grant(
                ("sagemaker:DeleteEndpoint",),
                (ours,),
                tagged,
                "the endpoints of this deployment all begin with its prefix, and bear its tag",
            ),
            Grant(
                ("sagemaker:DescribeEndpoint", "sagemaker:ListTags"),
                (ours,),
                because="reading only: whether one of these names is ours is told by its tags",
            ),
        ]

    def list_endpoints(self) -> Grant:
        """Find what has our tag and no meter."""
        return Grant(
            ("sagemaker:ListEndpoints",),
            ("*",),
            because="ListEndpoints knows no resource (AWS); it only reads names and states",
        )

    def invoke(self, endpoint: str) -> Grant:
        """Send prompts to one endpoint, by its name on SageMaker."""
        return Grant(("sagemaker:InvokeEndpoint",), (self.sagemaker("endpoint", endpoint),))

    def invoke_any(self) -> Grant:
        """Send prompts to any endpoint of this deployment, at once or through its queue."""
        return Grant(
            ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"),
            (self.sagemaker("endpoint", f"{self._names.endpoint_prefix}*"),),
            because=_ONE_FOR_EACH,
        )

    # ── The rest ────────────────────────────────────────────────────────────────────────────────

    def wake(self, function: str) -> Grant:
        """Invoke a function by its literal name."""
        return Grant(("lambda:InvokeFunction",), (self.function(function),))

    def call_from_api(self) -> list[Grant]:
        """Invoke what the API forwards to."""
        names = self._names
        return [
            self.wake(names.authorizer),
            self.wake(names.control),
            Grant(
                ("lambda:InvokeFunction",),
                (self.function(names.inference("*")),),
                because=_ONE_FOR_EACH,
            ),
        ]

    def read_endpoint_logs(self) -> Grant:
        """Show what containers print."""
        group = endpoint_log_group(f"{self._names.endpoint_prefix}*")
        return Grant(
            ("logs:FilterLogEvents",),
            (self.arn("logs", f"log-group:{group}"),),
            because=_ONE_FOR_EACH,
        )

    def use_async_buckets(self) -> list[Grant]:
        """Put inputs, read results. Listing makes a missing result a 404 instead of a 403.

        Only in buckets of this account: the whole world shares their names, and whoever took one
        before its async stack is deployed would be sent people's prompts.
        """
        ours = {"StringEquals": {"s3:ResourceAccount": Aws.ACCOUNT_ID}}
        name = self._names.async_bucket("*", Aws.ACCOUNT_ID, self._region)
        arn = f"arn:{Aws.PARTITION}:s3:::{name}"
        return [
            Grant(("s3:ListBucket",), (arn,), ours, _ONE_FOR_EACH),
            Grant(("s3:PutObject",), (f"{arn}/{ASYNC_INPUTS}/*",), ours, _ONE_FOR_EACH),
            Grant(
                ("s3:GetObject",),
                tuple(f"{arn}/{each}/*" for each in (ASYNC_INPUTS, ASYNC_RESULTS, ASYNC_FAILURES)),
                ours,
                _ONE_FOR_EACH,
            ),
        ]

    def empty_bucket(self, bucket: str) -> list[Grant]:
        """Delete everything in a bucket."""
        arn = f"arn:{Aws.PARTITION}:s3:::{bucket}"
        return [
            Grant(("s3:ListBucket",), (arn,)),
            Grant(("s3:DeleteObject",), (f"{arn}/*",), because="it is there to be emptied"),
        ]

    def read_prices(self) -> Grant:
        """Look up what instances cost."""
        return Grant(
            ("pricing:GetProducts",),
            ("*",),
            because="the Price List is public and has no resources that IAM could name",
        )

    def read_request_counts(self) -> Grant:
        """Ask how many prompts endpoints got."""
        return Grant(
            ("cloudwatch:GetMetricData",),
            ("*",),
            because="CloudWatch's metrics have no resources that IAM could name",
        )

    def _table(self, name: str) -> str:
        return self.arn("dynamodb", f"table/{name}")

    def _below(self, path: str) -> tuple[str, str]:
        """A path itself, for GetParametersByPath, and all parameters below it."""
        parameter = f"parameter{path.rstrip('/')}"
        return self.arn("ssm", parameter), self.arn("ssm", f"{parameter}/*")
