"""Request counts of SageMaker, from CloudWatch on moto."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.cloudwatch.models import cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID

from parkmeter.aws import cloudwatch_counts
from parkmeter.aws.async_inference.use import QueueUses
from parkmeter.aws.cloudwatch_counts import CloudWatchCounts
from parkmeter.aws.definitions import definition_from
from parkmeter.core.receipt import QueueUse
from parkmeter.core.request_counts import Count, slot_of
from simulator.moto_server import moto_server
from stacks.names import VARIANT
from tests.aws.test_price import document, variant

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=1)
ENDPOINTS = {"flan-t5": "parkmeter-flan-t5", "falcon": "parkmeter-falcon"}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto_server() as url:
        yield boto3.client(
            "cloudwatch",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@pytest.fixture
def counted(client: Any) -> Iterator[CloudWatchCounts]:
    """Three prompts ten minutes ago, two of them in the same minute; one the day before."""
    backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
    for ago in (10 * MINUTE, 9 * MINUTE + timedelta(seconds=40), 9 * MINUTE, DAY):
        # Only AWS may write into its namespace.
        backend.put_metric_data("AWS/SageMaker", [_invocation(NOW - ago)])
    yield CloudWatchCounts(lambda: client, ENDPOINTS)
    backend.metric_data.clear()


def _invocation(at: datetime) -> dict[str, Any]:
    dimensions = {"EndpointName": "parkmeter-flan-t5", "VariantName": VARIANT}
    return {
        "MetricName": "Invocations",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Timestamp": at.replace(tzinfo=None),
        "Value": 1.0,
    }


def told(counts: CloudWatchCounts, name: str, back: timedelta) -> list[Count] | None:
    return counts.of(name, NOW - back, NOW, slot_of(NOW - back, NOW, NOW))


def test_prompts_are_told_by_the_minute_they_came_in(counted):
    assert told(counted, "flan-t5", timedelta(hours=1)) == [
        Count(NOW - 10 * MINUTE, 2),
        Count(NOW - 9 * MINUTE, 1),
    ]
    assert told(counted, "falcon", timedelta(hours=1)) == []


def test_the_time_of_a_queues_instances_is_counted_by_their_samples(client):
    backend = cloudwatch_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
    for minute in range(20, 5, -1):
        sample = _invocation(NOW - minute * MINUTE) | {"MetricName": "CPUUtilization", "Value": 7.0}
        sample["Dimensions"][0]["Value"] = "parkmeter-flan-t5-async"
        backend.put_metric_data("/aws/sagemaker/Endpoints", [sample])
    queue = {"endpoint": "parkmeter-flan-t5-async", "bucket": "b", "stack": "s"}
    name = "/p/flan-t5"
    definition = definition_from(
        document(
            variant("ml.g5.xlarge", "2.82", "configuration"),
            instance_count=2,
            **{"async": queue},
        ),
        name,
    )
    counts = CloudWatchCounts(
        lambda: client, {"flan-t5": queue["endpoint"]}, cloudwatch_counts.INSTANCE_MINUTES
    )
    uses = QueueUses(counts, {"flan-t5": definition})
    used = uses.of("flan-t5", NOW - timedelta(hours=1), NOW, NOW)
    assert used == QueueUse(timedelta(minutes=15), Decimal("1.41"))
    assert used.cost == Decimal("0.3525")
    assert uses.of("flan-t5", NOW - 30 * DAY, NOW - 20 * DAY, NOW) is None
    backend.metric_data.clear()


def test_a_longer_period_has_longer_slots_which_begin_at_whole_ones(counted):
    week = told(counted, "flan-t5", 7 * DAY)
    assert [one.count for one in week] == [1, 3]
    assert week[1].at == NOW - 10 * MINUTE
    month = told(counted, "flan-t5", 30 * DAY)
    assert [one.count for one in month] == [1, 3]
    assert month[1].at == NOW.replace(minute=0)


def test_what_cloudwatch_does_not_say_is_not_known():
    def away() -> Any:
        raise EndpointConnectionError(endpoint_url="http://localhost")

    assert told(CloudWatchCounts(away, ENDPOINTS), "flan-t5", DAY) is None
