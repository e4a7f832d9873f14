"""Request counts of SageMaker, from CloudWatch on moto."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.cloudwatch.models import cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID

from parkmeter.aws.cloudwatch_counts import CloudWatchCounts
from parkmeter.core.request_counts import Count, slot_of
from simulator.moto_server import moto_server
from stacks.names import VARIANT

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
