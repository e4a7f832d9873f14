"""Probes: calls that change nothing of value, made to learn how AWS refuses and what it leaves."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.price import listed_prices
from tools.smoke_aws.aws_calls import Inbox, refusal
from tools.smoke_aws.run import BROKEN, FLAN, Run, now

JSON = "application/json"
FAILING = b'{"text_inputs": "this one fails", "answer_with": 500}'
HELLO = b'{"text_inputs": "hello"}'
LARGE = b'{"text_inputs": "' + b"a" * 7_000_000 + b'"}'
AT_ONCE = 15
"""Calls of PutParameter; the default quota is assumed to be 3 a second."""


class Probes:
    """The probes of a run; each notes what it saw in `facts`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.facts: dict[str, str] = {}

    def while_creating(self, found: dict[str, Any]) -> str:
        """Ask for what is refused while an endpoint (as described) is created."""
        if found["EndpointStatus"] != "Creating":
            return f"it was {found['EndpointStatus']} already"
        name, absent = found["EndpointName"], self._run.endpoint("absent")
        for key, operation, request in (
            # First: should it be accepted after all, parkmeter creates the endpoint again.
            ("delete-creating", "delete_endpoint", {"EndpointName": name}),
            (
                "create-existing",
                "create_endpoint",
                {"EndpointName": name, "EndpointConfigName": found["EndpointConfigName"]},
            ),
            ("describe-missing", "describe_endpoint", {"EndpointName": absent}),
            (
                "tags-missing",
                "list_tags",
                {"ResourceArn": f"{found['EndpointArn'].rpartition('/')[0]}/{absent}"},
            ),
        ):
            self.refused(key, "sagemaker", operation, **request)
        return "see below"

    def at_runtime(self) -> str:
        """Ask for what the runtime refuses, of an endpoint that serves."""
        service, flan = "sagemaker-runtime", self._run.endpoint(FLAN)
        for key, operation, request in (
            (
                "invoke-missing",
                "invoke_endpoint",
                {"EndpointName": self._run.endpoint("absent"), "Body": HELLO},
            ),
            (
                "async-of-plain",
                "invoke_endpoint_async",
                {"EndpointName": flan, "InputLocation": "s3://absent/absent"},
            ),
            ("model-error", "invoke_endpoint", {"EndpointName": flan, "Body": FAILING}),
            ("large-body", "invoke_endpoint", {"EndpointName": flan, "Body": LARGE}),
        ):
            self.refused(key, service, operation, ContentType=JSON, **request)
        return "see below"

    def of_async(self) -> None:
        """Note the tags of the async endpoint, and ask it for an answer at once."""
        name = self._run.endpoint(f"{FLAN}-async")
        sagemaker = self._run.client("sagemaker")
        arn = sagemaker.describe_endpoint(EndpointName=name)["EndpointArn"]
        tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
        self.facts["stack-tag"] = ", ".join(sorted(tag["Key"] for tag in tags))
        self.refused(
            "plain-of-async",
            "sagemaker-runtime",
            "invoke_endpoint",
            EndpointName=name,
            ContentType=JSON,
            Body=HELLO,
        )

    def refused(self, key: str, service: str, operation: str, **request: Any) -> None:
        """Make a call and note its refusal."""
        client = self._run.client(service)
        self.facts[key] = refusal(lambda: getattr(client, operation)(**request))[:300]

    def log_streams(self, key: str, endpoint: str) -> str:
        """Note the log streams of an endpoint's container."""
        group = f"/aws/sagemaker/Endpoints/{self._run.endpoint(endpoint)}"
        try:
            found = self._run.client("logs").describe_log_streams(logGroupName=group)
        except ClientError:
            return "no log group"
        if names := ", ".join(one["logStreamName"] for one in found["logStreams"]):
            self.facts[key] = names
        return names or "no stream"

    def limits(self) -> str:
        """Note how fast parameters may be written, and a price."""
        ssm, path = self._run.client("ssm"), f"/{self._run.prefix}/burst"

        def write(number: int) -> str:
            given = {"Value": "x", "Type": "String", "Overwrite": True}
            return refusal(lambda: ssm.put_parameter(Name=f"{path}/{number}", **given))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(write, range(AT_ONCE)))
        for number in range(AT_ONCE):
            refusal(partial(ssm.delete_parameter, Name=f"{path}/{number}"))
        refused = sum(outcome != "accepted" for outcome in outcomes)
        self.facts["put-rate"] = f"{refused} of {AT_ONCE} refused after boto3's own retries"
        try:
            prices = listed_prices(["ml.g5.24xlarge"], "us-east-1")
        except (ClientError, BotoCoreError):
            return self.facts["put-rate"]
        if "ml.g5.24xlarge" in prices:
            self.facts["price"] = f"{prices['ml.g5.24xlarge']:.2f}"
        return self.facts["put-rate"]

    def fill(self) -> str:
        """Note what the alarm on idling would see of a backlog that never had data."""
        clock, none = f"{self._run.prefix}-clock", f"{self._run.prefix}-none"
        queries = [
            _metric("instances", "AWS/Lambda", "Invocations", "FunctionName", clock),
            _metric("backlog", "AWS/SageMaker", "ApproximateBacklogSize", "EndpointName", none),
            {"Id": "idle", "Expression": "IF(instances > 0 AND FILL(backlog, 0) == 0, 1, 0)"},
        ]
        client, end = self._run.client("cloudwatch"), now()
        try:
            found = client.get_metric_data(
                MetricDataQueries=queries, StartTime=end - timedelta(hours=1), EndTime=end
            )
        except (ClientError, BotoCoreError) as error:
            return str(error)[:200]
        values = {one["Id"]: one["Values"] for one in found["MetricDataResults"]}
        if not values.get("instances"):
            return "no data yet"
        idle = values.get("idle")
        self.facts["fill"] = f"{max(idle):g}" if idle else "no value"
        return self.facts["fill"]

    def async_failure(self, bucket: str, inbox: Inbox) -> None:
        """Note what a failed job left in the bucket and sent to its topic."""
        s3 = self._run.client("s3")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="failures/").get("Contents", [])
        if listed:
            key = listed[0]["Key"]
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read(300)
            self.facts["async-failure"] = f"{key}: {body.decode('utf-8', 'replace')}"
        inbox.empty()
        if notes := [note for note in inbox.notes if "Failed" in str(note)]:
            self.facts["async-message"] = str(notes[0].get("Message", notes[0]))

    def events(self, inbox: Inbox) -> str:
        """Note the events that came."""
        inbox.empty()
        seen = {status for name in (FLAN, BROKEN) for status in inbox.statuses(name)}
        if seen:
            self.facts["events"] = ", ".join(sorted(seen))
            ids = [one["id"] for one in inbox.events]
            self.facts["events-doubled"] = f"{len(ids) - len(set(ids))} of {len(ids)}"
        if inbox.delays:
            self.facts["event-delay"] = f"{max(inbox.delays):.1f} s"
        return f"{len(inbox.events)} events, {len(inbox.notes)} notifications"

    def failure(self, detail: dict[str, Any]) -> str:
        """Note how a start failed, from its event."""
        self.facts["failure-reason"] = detail.get("FailureReason", "none given")
        took = (detail["LastModifiedTime"] - detail["CreationTime"]) / 1000
        self.facts["failure-time"] = f"{took:.0f} s"
        self.log_streams("failure-logs", BROKEN)
        return self.facts["failure-reason"]


def _metric(query: str, namespace: str, name: str, dimension: str, value: str) -> dict[str, Any]:
    metric = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": dimension, "Value": value}],
    }
    stat = {"Metric": metric, "Period": 300, "Stat": "Sum"}
    return {"Id": query, "MetricStat": stat}
