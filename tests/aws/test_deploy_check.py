"""The check of each deployment: async endpoints that it would leave behind, and quotas."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from parkmeter.aws.deploy_check import handler
from simulator.account_limits import AccountLimits
from simulator.moto_services import MotoServices
from simulator.sagemaker import refusals
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.custom_resources import CloudFormation, cloudformation, request

KIND, OTHER = "ml.g5.12xlarge", "ml.g5.24xlarge"


@dataclass
class Checked:
    """An account, its quotas, and CloudFormation that asks for the check."""

    sagemaker: SageMakerSimulator
    limits: AccountLimits
    server: CloudFormation

    def deploy(
        self,
        kind: str,
        *,
        queues: list[str] = [],  # noqa: B006 (read only)
        before: list[str] = [],  # noqa: B006
        types: tuple[str, ...] = (KIND, OTHER),
        count: int = 1,
    ) -> dict[str, Any]:
        """Return the answer to a request of this kind."""
        endpoint = {"Name": "flan-t5", "InstanceTypes": list(types), "InstanceCount": str(count)}
        properties = {"Queues": queues, "Endpoints": [endpoint]}
        event = request(self.server, kind) | {"ResourceProperties": properties}
        if kind == "Update":
            event["OldResourceProperties"] = {**properties, "Queues": before}
        handler(event, None)
        return self.server.last

    def async_endpoint(self, name: str) -> None:
        """Create an async endpoint, as its stack does."""
        self.sagemaker.add_config(name, KIND)
        client = self.sagemaker.client()
        client.create_endpoint(EndpointName=f"acme-{name}-async", EndpointConfigName=name)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Checked]:
    with cloudformation() as server, MotoServices() as services, SageMakerSimulator() as sagemaker:
        limits = AccountLimits(sagemaker.faults.quotas, {KIND: 2, OTHER: 0})
        services.handlers.append(limits.handle)
        given = {**services.environment(), **sagemaker.environment(), "PARKMETER_PREFIX": "acme"}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        yield Checked(sagemaker, limits, server)


def test_an_update_that_drops_a_deployed_queue_is_refused_with_the_commands_to_run(
    account: Checked,
):
    account.async_endpoint("falcon-7b")
    said = account.deploy("Update", queues=["flan-t5"], before=["flan-t5", "falcon-7b"])
    assert said["Status"] == "FAILED"
    delete = "aws cloudformation delete-stack --stack-name acme-Falcon7bAsyncStack"
    assert f"{delete} --region us-east-1 && aws cloudformation wait" in said["Reason"]
    # CloudFormation then goes back to what it had, which passes.
    back = account.deploy("Update", queues=["flan-t5", "falcon-7b"], before=["flan-t5"])
    assert back["Status"] == "SUCCESS"


def test_a_queue_that_is_not_deployed_may_go(account: Checked):
    assert account.deploy("Update", before=["flan-t5"])["Status"] == "SUCCESS"


def test_a_queue_that_cannot_be_looked_for_keeps_no_deployment(account: Checked):
    account.async_endpoint("flan-t5")
    denied = refusals.denied("arn:aws:iam::111122223333:role/check", "DescribeEndpoint", "*")
    account.sagemaker.faults.refuse("DescribeEndpoint", denied)
    assert account.deploy("Update", before=["flan-t5"])["Status"] == "SUCCESS"


def test_a_removal_of_the_stack_asks_nothing(account: Checked):
    account.async_endpoint("flan-t5")
    assert account.deploy("Delete")["Status"] == "SUCCESS"


def test_the_report_names_an_endpoint_that_cannot_start_with_the_command_to_run(account: Checked):
    assert account.deploy("Create")["Data"]["Quotas"].endswith(": no endpoint lacks one")
    account.limits.defaults[KIND] = 0
    said = account.deploy("Create")
    assert said["Status"] == "SUCCESS"
    report = said["Data"]["Quotas"]
    assert f"flan-t5 CANNOT START: it needs 1 x {KIND}, the quota is 0. Run: aws serv" in report
    assert report.endswith("--desired-value 1 --region us-east-1.")


def test_another_type_that_may_start_or_is_not_listed_is_enough(account: Checked):
    account.limits.defaults = {KIND: 0, OTHER: 1}
    assert "no endpoint lacks one" in account.deploy("Update")["Data"]["Quotas"]
    said = account.deploy("Update", types=(KIND, "ml.new.xlarge"))
    assert "no endpoint lacks one" in said["Data"]["Quotas"]


def test_a_quota_below_the_number_of_instances_is_reported_too(account: Checked):
    report = account.deploy("Create", count=3)["Data"]["Quotas"]
    assert f"needs 3 x {KIND}, the quota is 2" in report
    assert "--desired-value 3" in report


def test_without_service_quotas_the_deployment_goes_on(
    account: Checked, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = account.deploy("Create")
    assert said["Status"] == "SUCCESS"
    assert "not known" in said["Data"]["Quotas"]
