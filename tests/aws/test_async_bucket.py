"""The async bucket's end, against S3 on moto and an address that takes CloudFormation's answers."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from parkmeter.aws.async_inference.bucket import handler
from simulator.moto_server import moto_server
from tests.support.custom_resources import CloudFormation, cloudformation, request


@pytest.fixture
def answers() -> Iterator[CloudFormation]:
    with cloudformation() as server:
        yield server


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with moto_server() as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        yield client
        client.close()


def _event(server: CloudFormation, kind: str, bucket: str) -> dict[str, Any]:
    return request(server, kind) | {"ResourceProperties": {"AsyncBucket": bucket}}


def test_on_delete_the_bucket_is_emptied_page_by_page(s3: Any, answers: CloudFormation):
    s3.create_bucket(Bucket="results")
    for number in range(1005):
        s3.put_object(Bucket="results", Key=f"results/{number}", Body=b"")
    handler(_event(answers, "Delete", "results"), None)
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert answers.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "results",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "FlanT5",
        }
    ]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_before_that_nothing_is_touched(s3: Any, answers: CloudFormation, kind: str):
    s3.create_bucket(Bucket="results")
    s3.put_object(Bucket="results", Key="results/1", Body=b"")
    handler(_event(answers, kind, "results"), None)
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 1
    assert [answer["Status"] for answer in answers.answers] == ["SUCCESS"]


def test_a_bucket_that_is_gone_already_is_empty(s3: Any, answers: CloudFormation):
    handler(_event(answers, "Delete", "never-made"), None)
    assert [answer["Status"] for answer in answers.answers] == ["SUCCESS"]


def test_an_answer_that_is_not_taken_is_given_again(s3: Any, answers: CloudFormation):
    answers.refuse = 1
    handler(_event(answers, "Create", "results"), None)
    assert [answer["Status"] for answer in answers.answers] == ["SUCCESS"]


def test_a_failure_is_told_with_the_next_step_and_does_not_hang_the_stack(
    s3: Any, answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    handler(_event(answers, "Delete", "results"), None)
    (answer,) = answers.answers
    assert answer["Status"] == "FAILED"
    assert "Empty it by hand" in answer["Reason"]
