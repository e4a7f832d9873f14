"""The last lines of a container's log, from CloudWatch Logs on moto."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from parkmeter.aws.cloudwatch_logs import CloudWatchLogs, log_group
from parkmeter.errors import DriverError, LogsElsewhereError
from simulator.moto_server import moto_server

NOW = datetime.now(UTC)
GROUP = log_group("parkmeter-flan-t5")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto_server() as url:
        yield boto3.client(
            "logs",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@pytest.fixture
def group(client: Any) -> Iterator[Any]:
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName="AllTraffic/i-1")
    yield client
    client.delete_log_group(logGroupName=GROUP)


def put(client: Any, *said: tuple[timedelta, str]) -> None:
    client.put_log_events(
        logGroupName=GROUP,
        logStreamName="AllTraffic/i-1",
        logEvents=[
            {"timestamp": round((NOW - ago).timestamp() * 1000), "message": text}
            for ago, text in said
        ],
    )


def last(client: Any, lines: int, **more: Any) -> str:
    logs = CloudWatchLogs(lambda: client, {"flan-t5": GROUP}, lambda: NOW, **more)
    log = logs.open("flan-t5", lines, follow=False)
    text = log.read().decode()
    assert log.read() == b""
    log.close()
    return text


MINUTE = timedelta(minutes=1)


def test_the_last_lines_are_found_however_long_ago_they_were_printed(group):
    said = [(number * 20 * MINUTE, f"line {number}") for number in (90, 12, 5, 1, 0)]
    put(group, *said)
    assert last(group, 1) == "line 0\n"
    assert last(group, 3) == "line 5\nline 1\nline 0\n"
    assert last(group, 100) == "line 90\nline 12\nline 5\nline 1\nline 0\n"


def test_more_than_a_page_is_read_to_its_end(group):
    put(group, *((timedelta(seconds=30), f"line {number}") for number in range(9_000)))
    put(group, *((timedelta(seconds=20), f"more {number}") for number in range(9_000)))
    assert last(group, 2) == "more 8998\nmore 8999\n"


def test_what_never_printed_has_no_group_and_an_empty_log(client):
    assert last(client, 10) == ""


def test_a_log_too_long_for_the_time_gives_what_the_shorter_look_found(group):
    put(group, (90 * MINUTE, "before"), (timedelta(seconds=1), "now"))
    ticks = iter([0.0, 0.0, 0.0, 100.0])
    assert last(group, 10, ticks=lambda: next(ticks)) == "now\n"
    ticks = iter([0.0, 100.0])
    with pytest.raises(LogsElsewhereError, match="too long to search"):
        last(group, 10, ticks=lambda: next(ticks))


class LongLines:
    """CloudWatch with a container that printed `pages` of lines of a quarter of a megabyte."""

    exceptions = boto3.client("logs", region_name="us-east-1").exceptions

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.calls = 0

    def filter_log_events(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        page = int(request.get("nextToken", 0))
        events = [{"message": f"{page}.{line} " + "x" * 2**18} for line in range(4)]
        following = {} if page == self.pages else {"nextToken": str(page + 1)}
        return {"events": events, **following}


def test_long_lines_are_not_all_kept_in_memory():
    client = LongLines(pages=60)
    tracemalloc.start()
    try:
        text = last(client, 10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20  # of 60 MB
    assert text.endswith("x\n")
    assert text.rsplit("\n", 2)[1].startswith("60.3 ")
    assert len(text) <= 2 * 2**20
    assert client.calls == 61  # no longer span is searched for what there is no room for


def test_following_names_the_log_group_and_the_command(client):
    logs = CloudWatchLogs(lambda: client, {"flan-t5": GROUP}, lambda: NOW)
    with pytest.raises(LogsElsewhereError, match=f"aws logs tail {GROUP} --follow") as refused:
        logs.open("flan-t5", 10, follow=True)
    assert refused.value.data == {"log_group": GROUP}


def test_a_failure_of_cloudwatch_is_told_without_its_details():
    with moto_server() as url:
        gone = boto3.client(
            "logs",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=boto3.session.Config(retries={"total_max_attempts": 1}, connect_timeout=1),
        )
    with pytest.raises(DriverError, match="CloudWatch did not return the log"):
        last(gone, 10)
