"""The grants of a deployment: each permission a role may have, by what it is for.

Knows names, no stacks.
"""

from aws_cdk import Aws, Stack

from stacks.iam_role import Grant
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

_ONE_FOR_EACH = (
    "one for each endpoint of this deployment, all under its prefix; listed one by one they would "
    "exceed IAM's limit of 10,240 characters a role at some twenty endpoints"
)


class Grants:
    """The grants of one deployment in one region."""

    def __init__(self, stack: Stack, names: Names) -> None:
        self._region = stack.region
        self._names = names

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in this account and region."""
        return f"arn:{Aws.PARTITION}:{service}:{self._region}:{Aws.ACCOUNT_ID}:{resource}"

    def sagemaker(self, kind: str, name: str) -> str:
        """Return a SageMaker ARN, in lower case as SageMaker has it: IAM compares by case."""
        return self.arn("sagemaker", f"{kind}/{name.lower()}")

    def function(self, name: str) -> str:
        """Return the ARN of a function by its literal name."""
        return self.arn("lambda", f"function:{name}")

    def write_logs(self, group: str) -> Grant:
        """Write into a log group, but not create it: it would outlive its stack."""
        return Grant(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (self.arn("logs", f"log-group:{group}:*"),),
            because="the streams of this one log group; their names are chosen at run time",
        )

    def write_container_logs(self, group: str) -> Grant:
        """Write into a container's log group as SageMaker's agent does (guide, CreateModel roles).

        It describes the streams first and creates the group, which exists: where either is denied,
        a container that fails at its start may leave no log.
        """
        return Grant(
            (
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            (self.arn("logs", f"log-group:{group}:*"),),
            because="the group of this one endpoint; IAM checks these actions against its streams, "
            "whose names are chosen at run time",
        )

    # ── Meters and tokens ───────────────────────────────────────────────────────────────────────

    def read_meter(self, endpoint: str) -> Grant:
        """Read one endpoint's meter, and nothing else of the table."""
        return Grant(
            ("dynamodb:GetItem",),
            (self._table(self._names.meters_table),),
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [endpoint]}},
        )

    def note_use(self, endpoint: str) -> Grant:
        """Write the last use of one endpoint, and nothing else of the table."""
        return Grant(
            ("dynamodb:PutItem",),
            (self._table(self._names.meters_table),),
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [use_key(endpoint)]}},
        )

    def keep_meters(self) -> Grant:
        """Read and commit meters and journal, but not the secret that signs links."""
        return Grant(
            ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringNotEquals": {"dynamodb:LeadingKeys": [SECRET_PARTITION]}},
        )

    def sign_links(self) -> Grant:
        """Read and create the secret that signs the links in mails."""
        return Grant(
            ("dynamodb:GetItem", "dynamodb:PutItem"),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [SECRET_PARTITION]}},
        )

    def empty_outbox(self) -> Grant:
        """Claim posted entries and delete mailed ones; nothing else of the table."""
        return Grant(
            ("dynamodb:DeleteItem", "dynamodb:UpdateItem"),
            (self._table(self._names.meters_table),),
            {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [OUTBOX_PARTITION]}},
        )

    def list_unsettled(self) -> Grant:
        """List the unsettled meters."""
        table = self._table(self._names.meters_table)
        return Grant(("dynamodb:Query",), (f"{table}/index/{UNSETTLED_INDEX}",))

    def read_all_meters(self) -> Grant:
        """Read many meters in one call."""
        return Grant(("dynamodb:BatchGetItem",), (self._table(self._names.meters_table),))

    def count_minutes(self) -> Grant:
        """Count the minutes a token adds in a day, and its changes in a minute."""
        return Grant(("dynamodb:UpdateItem",), (self._table(self._names.meters_table),))

    def read_token(self) -> Grant:
        """Read one token."""
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
        # IAM checks the path as it is sent, without a slash at its end, and no parameter below it.
        return Grant(("ssm:GetParametersByPath",), self._below(self._names.endpoints_path)[:1])

    def read_endpoints(self) -> Grant:
        """Read definitions by name."""
        return Grant(
            ("ssm:GetParameters",),
            self._below(self._names.endpoints_path)[1:],
            because="one parameter for each endpoint; which ones exist is only known at run time",
        )

    def read_endpoint(self, endpoint: str) -> Grant:
        """Read one endpoint's definition."""
        path = f"parameter{self._names.endpoints_path}{endpoint}"
        return Grant(("ssm:GetParameter",), (self.arn("ssm", path),))

    def read_hours(self) -> Grant:
        """List the schedules of endpoints with hours."""
        return Grant(("ssm:GetParametersByPath",), self._below(self._names.hours_path)[:1])

    def find_address(self) -> Grant:
        """Read the address of the API."""
        parameter = f"parameter{self._names.address_parameter}"
        return Grant(("ssm:GetParameter",), (self.arn("ssm", parameter),))

    def publish_expiry(self) -> Grant:
        """Read and write the published expiries."""
        return Grant(
            ("ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"),
            self._below(self._names.expiry_path),
            because="one parameter for each endpoint; which ones exist is only known at run time",
        )

    def withdraw_expiry(self) -> Grant:
        """Delete a published expiry."""
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
        because = "the endpoints of this deployment all begin with its prefix"
        return [
            Grant(("sagemaker:AddTags", "sagemaker:CreateEndpoint"), (ours,), tagged, because),
            Grant(
                ("sagemaker:CreateEndpoint",),
                (self.sagemaker("endpoint-config", "*"),),
                because="CloudFormation chooses the names of EndpointConfigs, so that a new one "
                "never collides with the one that a live endpoint still uses",
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
                "the endpoints of this deployment all begin with its prefix and bear its tag",
            ),
            # Autoscaling that someone put on an endpoint by hand is removed with it, by SageMaker
            # and on this permission; without it the endpoint could not be deleted.
            Grant(
                ("application-autoscaling:DeregisterScalableTarget",),
                (self.arn("application-autoscaling", "scalable-target/*"),),
                # Where the key is missing the endpoint must be deletable all the same.
                {
                    "StringEqualsIfExists": {
                        "application-autoscaling:service-namespace": "sagemaker"
                    }
                },
                because="AWS chooses the names of scalable targets; this removes only autoscaling",
            ),
            Grant(
                ("sagemaker:DescribeEndpoint", "sagemaker:ListTags"),
                (ours,),
                because="reading only: the tags show whether an endpoint of this name is ours",
            ),
        ]

    def see_queues(self) -> Grant:
        """Describe async endpoints, also those that this configuration no longer has."""
        return Grant(
            ("sagemaker:DescribeEndpoint",),
            (self.sagemaker("endpoint", self._names.async_endpoint("*")),),
            because="reading only: async endpoints of this deployment that app.py may have lost",
        )

    def list_endpoints(self) -> Grant:
        """List endpoints, to find those with our tag and no meter."""
        return Grant(
            ("sagemaker:ListEndpoints",),
            ("*",),
            because="ListEndpoints has no resource (AWS); it only reads names and states",
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

    # ── Others ──────────────────────────────────────────────────────────────────────────────────

    def wake(self, function: str) -> Grant:
        """Invoke a function by its literal name."""
        return Grant(("lambda:InvokeFunction",), (self.function(function),))

    def call_from_api(self) -> list[Grant]:
        """Invoke the functions that the API forwards to."""
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
        """Read the containers' logs."""
        group = endpoint_log_group(f"{self._names.endpoint_prefix}*")
        return Grant(
            ("logs:FilterLogEvents",),
            (self.arn("logs", f"log-group:{group}"),),
            because=_ONE_FOR_EACH,
        )

    def use_async_buckets(self) -> list[Grant]:
        """Write inputs, read results. Listing makes a missing result a 404 instead of a 403.

        Only in buckets of this account: bucket names are global, and another account that took one
        before the async stack is deployed would receive the prompts.
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
            Grant(
                ("s3:DeleteObject",),
                (f"{arn}/*",),
                because="all objects of this one bucket are deleted",
            ),
        ]

    def read_quotas(self) -> Grant:
        """Look up SageMaker's quotas for instance types."""
        return Grant(
            ("servicequotas:ListAWSDefaultServiceQuotas", "servicequotas:ListServiceQuotas"),
            ("*",),
            because="listing quotas has no resource (AWS); it only reads numbers",
        )

    def read_prices(self) -> Grant:
        """Look up prices of instance types."""
        return Grant(
            ("pricing:GetProducts",),
            ("*",),
            because="the Price List is public and has no resources that IAM could name",
        )

    def read_request_counts(self) -> Grant:
        """Read the request counts of endpoints."""
        return Grant(
            ("cloudwatch:GetMetricData",),
            ("*",),
            because="CloudWatch's metrics have no resources that IAM could name",
        )

    def _table(self, name: str) -> str:
        return self.arn("dynamodb", f"table/{name}")

    def _below(self, path: str) -> tuple[str, str]:
        """Return a path itself, for GetParametersByPath, and all parameters below it."""
        parameter = f"parameter{path.rstrip('/')}"
        return self.arn("ssm", parameter), self.arn("ssm", f"{parameter}/*")
