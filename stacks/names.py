"""The names that two stacks, or a stack and a Lambda handler, must agree on.

Stacks share only these literal names, no exports, so that each can be deployed and destroyed on its
own. Knows no construct.

The interface of the handlers in `parkmeter.aws`:

* The environment of every function: `PARKMETER_PREFIX`, `PARKMETER_METERS_TABLE`,
  `PARKMETER_AUTH_TABLE`, `PARKMETER_ENDPOINTS_PATH`, `PARKMETER_EXPIRY_PATH`,
  `PARKMETER_HOURS_PATH`, `PARKMETER_CLOCK_FUNCTION`; in the clock also `PARKMETER_TOPIC_ARN`,
  `PARKMETER_MAILED` (kinds of entries, separated by spaces), `PARKMETER_PUBLIC_URL` (may be empty)
  and `PARKMETER_ADDRESS_PARAMETER`, and `PARKMETER_METERED_QUEUES` (endpoints, separated by spaces)
  if there are any; in an inference function `PARKMETER_ENDPOINT`,
  `PARKMETER_CONTROL_FUNCTION` and `PARKMETER_NOTES_USE` (1: each use is noted).
* One SSM parameter per endpoint under `PARKMETER_ENDPOINTS_PATH`, JSON: see `metered.py`.
* The API's address, without a trailing slash, in the parameter `PARKMETER_ADDRESS_PARAMETER`.
* For each endpoint with hours a parameter under `PARKMETER_HOURS_PATH`: a JSON list of strings.
* The custom resource `Custom::ParkmeterEndpoint` with `Name` and `InitialProvisionTimeMinutes`;
  `Custom::ParkmeterBucket` with `AsyncBucket`; `Custom::ParkmeterInstanceType` with
  `AsyncEndpoint`, `InstanceType` and `Stack`; `Custom::ParkmeterPrice` with `Name`,
  `InstanceTypes`, `InstanceCount` and `Region`, answered by `TYPE.PricePerHour` (of all instances)
  and `TYPE.Source` for each.
* The clock is invoked with `{"kind": "tick"}` every minute, with `{"kind": "sweep"}` every ten,
  with EventBridge's unchanged events, and after a top-up or an eject with
  `{"kind": "wake", "name": endpoint}`.
* At the end of each tick the clock prints one line in CloudWatch's embedded metric format:
  namespace `METRICS`, dimension `METRICS_DIMENSION` = prefix, metrics `OVERDUE` (the longest time
  in seconds that an endpoint has lived past close and drain, 0 if none) and `UNSETTLED` (meters).
  Two alarms read it: too high, and missing.
* A custom resource that fails prints such a line with the metric `FAILED_RESOURCES` = 1.
"""

import re
from dataclasses import dataclass

DEFAULT_PREFIX = "parkmeter"
TAG = "parkmeter:deployment"
"""Set by the clock on each endpoint it creates; an endpoint without it is never deleted."""

METRICS = "parkmeter"
METRICS_DIMENSION = "Deployment"
OVERDUE = "OverdueSeconds"
UNSETTLED = "UnsettledMeters"
FAILED_RESOURCES = "FailedCustomResources"

UNSETTLED_INDEX = "unsettled"
"""The sparse index of the meters table; `parkmeter.stores.dynamodb` queries it by this name."""

OUTBOX_PARTITION = "outbox#"
"""Partition of the meters table with entries to mail (`parkmeter.stores.dynamodb_outbox`)."""

SECRET_PARTITION = "link-secret#"  # noqa: S105 (a key)
"""Partition of the meters table with the secret that signs links (`parkmeter.aws.link_secret`)."""

STAGE = "prod"
VARIANT = "AllTraffic"
"""The only production variant of every endpoint; the scaling of async endpoints names it."""

ASYNC_INPUTS, ASYNC_RESULTS, ASYNC_FAILURES = "inputs", "results", "failures"
"""Folders of an async bucket."""

LONGEST_BUCKET = 63
LONGEST_ENDPOINT = 63
LONGEST_FUNCTION = 64

_PREFIX = re.compile(r"[a-z](-?[a-z0-9])*")


@dataclass(frozen=True, slots=True)
class Names:
    """The literal names of one deployment. A prefix other than the default is in every name.

    `meters`, `auth`: other names of the tables; empty for the default ones.
    """

    prefix: str = DEFAULT_PREFIX
    meters: str = ""
    auth: str = ""

    def __post_init__(self) -> None:
        # Lower case, because IAM compares ARNs by case and SageMaker's are lower case.
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"prefix {self.prefix!r}: lower-case letters, digits, inner hyphens")

    def _bare(self, word: str) -> str:
        """Return the bare word under the default prefix, as the original project named it."""
        return word if self.prefix == DEFAULT_PREFIX else f"{self.prefix}-{word}"

    def _prefixed(self, word: str) -> str:
        return f"{self.prefix}-{word}"

    def stack(self, stack_id: str) -> str:
        """Return a stack's name in CloudFormation; `cdk deploy` always takes the plain id."""
        return self._bare(stack_id)

    @property
    def meters_table(self) -> str:
        """Meters, journal, keys."""
        return self.meters or self._bare("meters")

    @property
    def auth_table(self) -> str:
        """Tokens, under the original project's name."""
        return self.auth or self._bare("auth")

    @property
    def endpoints_path(self) -> str:
        """SSM path of the definitions."""
        return f"/{self.prefix}/endpoints/"

    @property
    def expiry_path(self) -> str:
        """SSM path of the published expiries."""
        return f"/{self.prefix}/expiry/"

    @property
    def hours_path(self) -> str:
        """SSM path of the schedules of endpoints with hours."""
        return f"/{self.prefix}/hours/"

    @property
    def address_parameter(self) -> str:
        """SSM parameter with the address of the API."""
        return f"/{self.prefix}/address"

    @property
    def clock(self) -> str:
        """Function that reconciles."""
        return self._prefixed("clock")

    @property
    def lifecycle(self) -> str:
        """Function behind the custom resources of the manager."""
        return self._prefixed("lifecycle")

    @property
    def deploy_check(self) -> str:
        """Function that looks at what a deployment would leave behind, and at quotas."""
        return self._prefixed("deploy-check")

    @property
    def authorizer(self) -> str:
        """Function that checks tokens."""
        return self._prefixed("authorizer")

    @property
    def control(self) -> str:
        """Function that serves all routes but prompts."""
        return self._prefixed("control")

    def inference(self, endpoint: str) -> str:
        """Return the name of the function that takes an endpoint's prompts."""
        return self._prefixed(f"{endpoint}-inference")

    def async_stack(self, title: str) -> str:
        """Return the id of the stack behind an endpoint's queue."""
        return f"{title}AsyncStack"

    def async_bucket_function(self, endpoint: str) -> str:
        """Return the name of the function that empties the async bucket before its deletion."""
        return self._prefixed(f"{endpoint}-async-bucket")

    def price_function(self, endpoint: str) -> str:
        """Return the name of the function that looks up an endpoint's price."""
        return self._prefixed(f"{endpoint}-price")

    @property
    def tick_rule(self) -> str:
        """EventBridge rule that runs every minute."""
        return self._prefixed("tick")

    @property
    def notifications(self) -> str:
        """SNS topic of journal entries and alarms."""
        return self._prefixed("notifications")

    @property
    def dashboard(self) -> str:
        """CloudWatch dashboard."""
        return self.prefix

    @property
    def api(self) -> str:
        """The REST API."""
        return self.prefix

    @property
    def endpoint_prefix(self) -> str:
        """Beginning of the name of every endpoint of this deployment on SageMaker."""
        return f"{self.prefix}-"

    def endpoint(self, endpoint: str) -> str:
        """Return a metered endpoint's name on SageMaker."""
        return self._prefixed(endpoint)

    def async_endpoint(self, endpoint: str) -> str:
        """Return an async endpoint's name on SageMaker."""
        return self._prefixed(f"{endpoint}-async")

    def async_bucket(self, endpoint: str, account: str, region: str) -> str:
        """Return the name of the bucket of async inputs and results; bucket names are global."""
        return f"{self.prefix}-{endpoint}-async-{account}-{region}"

    def async_topic(self, endpoint: str, outcome: str) -> str:
        """Return the name of the SNS topic of async results (`outcome`: succeeded, failed)."""
        return self._prefixed(f"{endpoint}-async-{outcome}")


def use_key(endpoint: str) -> str:
    """Return the partition key of an endpoint's last use in the meters table."""
    return f"use#{endpoint}"


def log_group(function: str) -> str:
    """Return the log group of a function."""
    return f"/aws/lambda/{function}"


def endpoint_log_group(sagemaker_endpoint: str) -> str:
    """Return the log group of an endpoint's container."""
    return f"/aws/sagemaker/Endpoints/{sagemaker_endpoint}"
