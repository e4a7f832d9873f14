"""The commands of docs/aws-operations.md, run on a deployment in the simulated cloud."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.examine import examine
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.core.finding import Level
from simulator.cloud import SimulatedCloud
from simulator.sagemaker.account import REGION
from simulator.sagemaker.containers import canned
from tests.support.aws_command import AwsCommand, commands_in, parse
from tests.support.gateway_process import eventually

pytestmark = [pytest.mark.timeout(600), pytest.mark.extended]

PAGE = Path(__file__).parents[2] / "docs" / "aws-operations.md"
LAST = ("## DELETE_FAILED", "## Removing an endpoint")
"""Sections that remove the deployment."""

NOT_SIMULATED = {
    ("ce", "GetCostAndUsage"),
    ("cloudformation", "DetectStackDrift"),
    ("sagemaker", "ListEndpointConfigs"),
    ("sagemaker", "UpdateEndpointWeightsAndCapacities"),
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    with SimulatedCloud(launch=canned) as started:
        started.cdk.bootstrap()
        for stack in ("FlanT5MeteredStack", "EndpointManagerStack", "APIStack"):
            started.cdk.deploy(stack)
        yield started
    assert started.sagemaker.bugs == []


@pytest.fixture
def clients(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    made: dict[tuple[str, str], Any] = {}

    def client(service: str, region: str | None) -> Any:
        key = service, region or REGION
        if key not in made:
            made[key] = boto3.client(service, region_name=key[1])
        return made[key]

    yield client
    for one in made.values():
        one.close()


def in_order() -> list[str]:
    """Return the page's commands, those that remove the deployment last."""
    sections = re.split(r"(?=^## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    early = [section for section in sections if not section.startswith(LAST)]
    late = [section for section in sections if section.startswith(LAST)]
    return [command for section in (*early, *late) for command in commands_in(section)]


def test_the_doctor_finds_nothing_wrong_with_what_app_py_deploys(
    cloud: SimulatedCloud, clients: Any
):
    cloud.tick()
    account = Account(REGION)
    heartbeat = Heartbeat(account.dynamodb, "meters")
    eventually(lambda: heartbeat.last() is not None, 60, every=0.5)
    findings = examine(account, "parkmeter", datetime.now(UTC))
    # No address is configured in app.py as it comes.
    assert [one.what for one in findings if one.level is Level.WRONG] == ["mails"], findings
    assert {"clock", "artifact of flan-t5", "ml.g5.12xlarge"} <= {
        one.what for one in findings if one.level is Level.GOOD
    }


def prepared(cloud: SimulatedCloud, command: AwsCommand) -> AwsCommand:
    """Bring about what a command presupposes; return it with the example's names replaced."""
    tables, parameters = cloud.client("dynamodb"), dict(command.parameters)
    match command.operation:
        case "DeregisterScalableTarget":
            register = {**parameters, "MinCapacity": 1, "MaxCapacity": 2}
            cloud.client("application-autoscaling").register_scalable_target(**register)
        case "RequestServiceQuotaIncrease":
            quotas = cloud.client("service-quotas")
            listed = quotas.list_aws_default_service_quotas(ServiceCode="sagemaker")["Quotas"]
            parameters["QuotaCode"] = listed[0]["QuotaCode"]
        case "RestoreTableFromBackup":
            made = tables.create_backup(TableName="meters", BackupName="at-deletion")
            parameters["BackupArn"] = made["BackupDetails"]["BackupArn"]
            tables.delete_table(TableName="meters")
    return replace(command, parameters=parameters)


def run(command: AwsCommand, client: Any) -> None:
    """Run a command; an example's endpoint may not exist, or the clock may be deleting it."""
    try:
        command.run(client)
    except ClientError as error:
        gone = ("Could not find endpoint", "Cannot update in-progress endpoint")
        if not error.response["Error"]["Message"].startswith(gone):
            raise


def test_every_command_of_the_page_runs(cloud: SimulatedCloud, clients: Any):
    eventually(lambda: "parkmeter-flan-t5" in endpoints(cloud), 60)
    ran = set()
    for text in in_order():
        command = prepared(cloud, parse(text))
        if command.custom or (command.service, command.operation) in NOT_SIMULATED:
            continue
        run(command, clients(command.service, command.region))
        ran.add((command.service, command.operation))
    assert len(ran) > 20
    eventually(lambda: endpoints(cloud) == [], 60)


def endpoints(cloud: SimulatedCloud) -> list[str]:
    return [one.name for one in cloud.sagemaker.account.endpoints()]
