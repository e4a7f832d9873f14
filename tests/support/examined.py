"""A healthy deployment on moto and the simulated SageMaker, for `parkmeter doctor --aws`."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
import pytest

from parkmeter.aws.definitions import definitions
from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.examine import examine
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.wiring import NoGate, Ports, service_of
from parkmeter.core.finding import Finding, Level
from parkmeter.core.money import Minutes
from parkmeter.notify.log import LogNotifier
from parkmeter.service.changes import Actor
from simulator.account_limits import AccountLimits
from simulator.deployment import Deployed, deployed
from simulator.moto_services import MotoServices
from simulator.sagemaker.account import ACCOUNT
from simulator.sagemaker.simulator import IMAGE, ROLE, SageMakerSimulator
from tests.support.aws_command import parse
from tests.support.wound_sagemaker import Wound

BUCKET, ARTIFACT = "models-of-ours", "flan/model.tar.gz"
KINDS = ("ml.g5.12xlarge", "ml.p4d.24xlarge")
PROJECT = [{"Key": "project", "Value": "parkmeter"}]
_COMMAND = re.compile(r"aws [a-z0-9-]+ [a-z-]+ --.*?(?= \(|, then|$)")
_MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {"digest": "sha256:1"},
    "layers": [],
}
_TRUST = {"Version": "2012-10-17", "Statement": []}


_SESSION = boto3.Session()
"""Of all accounts here: reading the services' models takes longer than a check."""


class FewRegions(Account):
    """An account with three regions instead of all: each takes a client of its own."""

    def regions(self) -> list[str]:
        return ["us-east-1", "eu-west-3", "me-south-1"]


@dataclass(frozen=True)
class FixedClock:
    """Implements `ports.Clock`; no function of the clock runs here."""

    now: Callable[[], datetime]

    def wake(self, name: str, at: datetime | None = None) -> None:
        """Do nothing."""


@dataclass
class Examined:
    """The deployment and the services around it."""

    deployment: Deployed
    sagemaker: SageMakerSimulator
    limits: AccountLimits
    wound: Wound
    services: MotoServices
    region: str = "us-east-1"

    @cached_property
    def prefix(self) -> str:
        """The deployment's prefix."""
        return self.deployment.path.split("/")[1]

    def client(self, service: str) -> Any:
        """Return boto3's client of a service of moto's."""
        return _SESSION.client(service, region_name=self.region)

    def findings(self) -> list[Finding]:
        """Examine it now; each command that a finding names is one of the command line."""
        findings = examine(FewRegions(self.region, _SESSION), self.prefix, self.wound.now())
        for finding in findings:
            for command in _COMMAND.findall(finding.do):
                parse(command)
        return findings

    def trouble(self) -> dict[str, Finding]:
        """Return what is wrong, by subject."""
        return {one.what: one for one in self.findings() if one.level is Level.WRONG}

    def notes(self) -> dict[str, Finding]:
        """Return what is worth knowing, by subject."""
        return {one.what: one for one in self.findings() if one.level is Level.NOTE}

    def beat(self) -> None:
        """Let the clock complete a tick."""
        Heartbeat(self.deployment.dynamodb, self.deployment.tables.meters).beat(self.wound.now())

    def top_up(self, minutes: float) -> None:
        """Open the meter of flan-t5; its endpoint is not started."""
        ports = Ports(
            store=self.deployment.store,
            sagemaker=self.sagemaker.client(),
            clock=FixedClock(self.wound.now),
            gate=NoGate(),
            notifier=LogNotifier(),
            deployment="parkmeter",
        )
        known = definitions(self.deployment.ssm, self.deployment.path)
        service_of(ports, known).top_up("flan-t5", Minutes.of(minutes), Actor("a1", "ada"))

    def orphan(self, name: str, tags: list[dict[str, str]], region: str = "us-east-1") -> None:
        """Create an endpoint of a deployment that is gone."""
        client = _SESSION.client("sagemaker", region_name=region)
        client.create_model(
            ModelName=f"m-{name}", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE}
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": f"m-{name}",
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
        }
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)

    def clock_in(self, region: str) -> None:
        """Deploy the clock of the same prefix in another region."""
        name = f"{self.prefix}-clock"
        role = self.client("lambda").get_function_configuration(FunctionName=name)["Role"]
        _add_clock(_SESSION.client("lambda", region_name=region), self.prefix, role, {})

    def stack(
        self,
        name: str,
        endpoint: str | None = None,
        status: str = "",
        *,
        table: str | None = None,
        tags: list[dict[str, str]] = PROJECT,
    ) -> None:
        """Create a stack of parkmeter's; `endpoint`: one that it provisions; `table`: its table."""
        anything = {"Name": endpoint or table or f"/{name}", "Type": "String", "Value": "anything"}
        resource = {"Type": "AWS::SSM::Parameter", "Properties": anything}
        body = json.dumps({"Resources": {"Anything": resource}})
        self.client("cloudformation").create_stack(StackName=name, TemplateBody=body, Tags=tags)
        with self.services.lock:
            stacks = self.services.backend("cloudformation").stacks.values()
            (made,) = [stack for stack in stacks if stack.name == name]
            made.status = status or made.status
            (only,) = made.stack_resources
            if endpoint is not None:
                only.cf_resource_type = "Custom::ParkmeterEndpoint"
            if table is not None:
                only.cf_resource_type = "AWS::DynamoDB::Table"


@contextmanager
def examined(clock: Wound, monkeypatch: pytest.MonkeyPatch) -> Iterator[Examined]:
    """Yield a deployment with nothing wrong."""
    with ExitStack() as started:
        sagemaker = started.enter_context(SageMakerSimulator(clock.now))
        limits = AccountLimits(sagemaker.faults.quotas, dict.fromkeys(KINDS, 1))
        services = started.enter_context(MotoServices())
        services.handlers.append(limits.handle)
        for name, value in {**services.environment(), **sagemaker.environment()}.items():
            monkeypatch.setenv(name, value)
        deployment = started.enter_context(deployed(services.url, monkeypatch.setenv))
        made = Examined(deployment, sagemaker, limits, clock, services)
        _add_models(made)
        deployment.define("flan-t5", warn_minutes=[])
        _add_manager(made)
        _protect(made)
        made.beat()
        clock.time += timedelta(seconds=30)
        yield made
    assert sagemaker.bugs == []


def _add_models(made: Examined) -> None:
    ecr, s3 = made.client("ecr"), made.client("s3")
    ecr.create_repository(repositoryName="model")
    ecr.put_image(repositoryName="model", imageTag="1", imageManifest=json.dumps(_MANIFEST))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=ARTIFACT, Body=b"weights")
    client = made.sagemaker.client()
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{ARTIFACT}"}
    client.create_model(ModelName="flan", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    for config, kind in zip(("on-a10g", "on-a100"), KINDS, strict=True):
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": "flan",
            "InstanceType": kind,
            "InitialInstanceCount": 1,
        }
        client.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])


def _add_manager(made: Examined) -> None:
    sns, iam = made.client("sns"), made.client("iam")
    topic = sns.create_topic(Name=f"{made.prefix}-notifications")["TopicArn"]
    made.client("sqs").create_queue(QueueName="mails")
    queue = f"arn:aws:sqs:{made.region}:{ACCOUNT}:mails"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    role = iam.create_role(RoleName="clock", AssumeRolePolicyDocument=json.dumps(_TRUST))
    variables = {
        "PARKMETER_METERS_TABLE": made.deployment.tables.meters,
        "PARKMETER_AUTH_TABLE": made.deployment.tables.auth,
        "PARKMETER_ENDPOINTS_PATH": made.deployment.path,
        "PARKMETER_TOPIC_ARN": topic,
    }
    _add_clock(made.client("lambda"), made.prefix, role["Role"]["Arn"], variables)
    rule = {"Name": f"{made.prefix}-tick", "ScheduleExpression": "rate(1 minute)"}
    made.client("events").put_rule(**rule)


def _add_clock(client: Any, prefix: str, role: str, variables: dict[str, str]) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("handler.py", "")
    client.create_function(
        FunctionName=f"{prefix}-clock",
        Runtime="python3.13",
        Handler="handler.handler",
        Role=role,
        Code={"ZipFile": package.getvalue()},
        Environment={"Variables": variables},
    )


def _protect(made: Examined) -> None:
    client = made.client("dynamodb")
    for table in (made.deployment.tables.meters, made.deployment.tables.auth):
        client.update_table(TableName=table, DeletionProtectionEnabled=True)
        client.update_continuous_backups(
            TableName=table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
