"""The async stack's refusal to change the type of an endpoint that is scaled."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from parkmeter.aws.async_inference.custom_resources import handler
from simulator.moto_server import moto_server
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.custom_resources import CloudFormation, cloudformation, request

ENDPOINT = "parkmeter-flan-t5-async"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "ResourceId": f"endpoint/{ENDPOINT}/variant/AllTraffic",
}


@pytest.fixture
def answers() -> Iterator[CloudFormation]:
    with cloudformation() as server:
        yield server


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of Application Auto Scaling; an async endpoint on ml.g5.12xlarge exists."""
    with moto_server() as url, SageMakerSimulator() as sagemaker:
        given = {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "PARKMETER_PREFIX": "parkmeter",
        }
        for name, value in (given | sagemaker.environment()).items():
            monkeypatch.setenv(name, value)
        sagemaker.add_config("on-a10g", "ml.g5.12xlarge")
        sagemaker.client().create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="on-a10g")
        client = boto3.client("application-autoscaling")
        client.register_scalable_target(**TARGET, MinCapacity=0, MaxCapacity=1)
        yield client
        client.deregister_scalable_target(**TARGET)
        client.close()


def _asked(server: CloudFormation, kind: str, wanted: str, endpoint: str = ENDPOINT) -> Any:
    properties = {
        "AsyncEndpoint": endpoint,
        "InstanceType": wanted,
        "Stack": "FlanT5AsyncStack",
    }
    handler(
        request(server, kind)
        | {"ResourceType": "Custom::ParkmeterInstanceType", "ResourceProperties": properties},
        None,
    )
    (answer,) = server.answers
    return answer


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_another_type_is_refused_before_anything_changes_with_the_commands_to_run(
    scaling: Any, answers: CloudFormation, capsys: pytest.CaptureFixture[str], kind: str
):
    answer = _asked(answers, kind, "ml.g5.24xlarge")
    assert answer["Status"] == "FAILED"
    assert "runs on ml.g5.12xlarge" in answer["Reason"]
    assert "cdk destroy FlanT5AsyncStack && cdk deploy FlanT5AsyncStack" in answer["Reason"]
    assert '"FailedCustomResources": 1' in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_the_same_type_passes(scaling: Any, answers: CloudFormation, kind: str):
    assert _asked(answers, kind, "ml.g5.12xlarge")["Status"] == "SUCCESS"


def test_a_removal_passes_whatever_the_type(scaling: Any, answers: CloudFormation):
    assert _asked(answers, "Delete", "ml.g5.24xlarge")["Status"] == "SUCCESS"


def test_the_first_deployment_finds_no_endpoint(scaling: Any, answers: CloudFormation):
    assert _asked(answers, "Create", "ml.g5.24xlarge", "parkmeter-none")["Status"] == "SUCCESS"


def test_an_endpoint_that_is_not_scaled_may_change_its_type(scaling: Any, answers: CloudFormation):
    scaling.deregister_scalable_target(**TARGET)
    assert _asked(answers, "Update", "ml.g5.24xlarge")["Status"] == "SUCCESS"
    scaling.register_scalable_target(**TARGET, MinCapacity=0, MaxCapacity=1)


def test_where_nothing_can_be_read_sagemaker_decides(
    scaling: Any, answers: CloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert _asked(answers, "Update", "ml.g5.24xlarge")["Status"] == "SUCCESS"
