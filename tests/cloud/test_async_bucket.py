"""The async bucket's end, against S3 on moto and an address that takes CloudFormation's answers."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest

from parkmeter.aws.async_bucket import handler
from tests.cloud.tables import moto_server


class _CloudFormation(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: list[dict[str, Any]] = []


class _Answer(BaseHTTPRequestHandler):
    server: _CloudFormation

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.answers.append(json.loads(self.rfile.read(length)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the answers say it all."""


@pytest.fixture
def cloudformation() -> Iterator[_CloudFormation]:
    with _CloudFormation() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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


def _event(server: _CloudFormation, kind: str, bucket: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": f"http://127.0.0.1:{server.server_port}/signed?a=b",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Emptied",
        "ResourceProperties": {"AsyncBucket": bucket},
    }


def test_on_delete_the_bucket_is_emptied_page_by_page(s3: Any, cloudformation: _CloudFormation):
    s3.create_bucket(Bucket="results")
    for number in range(1005):
        s3.put_object(Bucket="results", Key=f"results/{number}", Body=b"")
    handler(_event(cloudformation, "Delete", "results"), None)
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert cloudformation.answers == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "results",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Emptied",
        }
    ]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_before_that_nothing_is_touched(s3: Any, cloudformation: _CloudFormation, kind: str):
    s3.create_bucket(Bucket="results")
    s3.put_object(Bucket="results", Key="results/1", Body=b"")
    handler(_event(cloudformation, kind, "results"), None)
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 1
    assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"]


def test_a_bucket_that_is_gone_already_is_empty(s3: Any, cloudformation: _CloudFormation):
    handler(_event(cloudformation, "Delete", "never-made"), None)
    assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"]


def test_a_failure_is_told_with_the_next_step_and_does_not_hang_the_stack(
    s3: Any, cloudformation: _CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    handler(_event(cloudformation, "Delete", "results"), None)
    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert "empty it by hand" in answer["Reason"]
