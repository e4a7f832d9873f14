"""`make smoke-aws` without a deployment: its question, its watchdog, its report."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from simulator.account_limits import AccountLimits
from simulator.cdk_command import PROJECT
from simulator.moto_services import MotoServices
from simulator.sagemaker.account import ACCOUNT, REGION
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.aws_command import parse
from tests.support.gateway_process import eventually
from tools.smoke_aws import cleanup
from tools.smoke_aws.cleanup import left_over, manual_commands
from tools.smoke_aws.facts import FACTS, Verdict
from tools.smoke_aws.report import Outcome, Step, report
from tools.smoke_aws.run import Run
from tools.smoke_aws.watchdog import Watchdog

# No promise of the README: a tool for people with an account.
pytestmark = pytest.mark.extended

PREFIX = "smoke-0123ab"
QUICK = Delays(create=timedelta(seconds=2), delete=timedelta(seconds=1))

_RUNNER = """
import sys, time
from pathlib import Path
from tools.smoke_aws.run import Run
from tools.smoke_aws.watchdog import Watchdog
watchdog = Watchdog(Run.read(Path(sys.argv[1])))
time.sleep(60)
"""


@dataclass
class Cloud:
    sagemaker: SageMakerSimulator
    limits: AccountLimits

    def leave_something(self) -> None:
        """Create what an interrupted run leaves: an endpoint in creation, and what is free."""
        self.sagemaker.add_config("of-a-run", "ml.m5.large")
        client = self.sagemaker.client()
        name = f"{PREFIX}-flan-t5"
        client.create_endpoint(EndpointName=name, EndpointConfigName="of-a-run")
        ssm, logs = (boto3.client(name, region_name=REGION) for name in ("ssm", "logs"))
        ssm.put_parameter(Name=f"/{PREFIX}/endpoints/flan-t5", Value="{}", Type="String")
        logs.create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{PREFIX}-flan-t5")
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket=f"{PREFIX}-flan-t5-async-{ACCOUNT}-{REGION}")
        s3.put_object(Bucket=f"{PREFIX}-flan-t5-async-{ACCOUNT}-{REGION}", Key="a", Body=b"a")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with ExitStack() as started:
        sagemaker = started.enter_context(SageMakerSimulator(delays=QUICK))
        services = started.enter_context(MotoServices())
        limits = AccountLimits(sagemaker.faults.quotas)
        services.handlers.append(limits.handle)
        for name, value in {**services.environment(), **sagemaker.environment()}.items():
            monkeypatch.setenv(name, value)
        yield Cloud(sagemaker, limits)
    assert sagemaker.bugs == []


def run_in(folder: Path, **more: Any) -> Run:
    began = more.pop("began", datetime.now(UTC))
    run = Run(prefix=PREFIX, account=ACCOUNT, region=REGION, began=began, folder=folder, **more)
    run.write()
    return run


def start(*options: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tools.smoke_aws", *options],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )


def test_without_a_yes_nothing_is_started(cloud: Cloud, tmp_path: Path):
    done = start("--region", REGION, "--folder", str(tmp_path))
    assert done.returncode == 2
    assert "costs less than $0.50" in done.stderr
    assert "--yes starts without asking" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert cloud.sagemaker.account.calls == []


def test_too_small_a_quota_comes_with_the_command_that_asks_for_more(cloud: Cloud):
    cloud.limits.defaults["ml.m5.large"] = 1
    done = start("--yes", "--region", REGION)
    assert done.returncode == 2
    command = done.stderr.strip().splitlines()[-1]
    assert parse(command).operation == "RequestServiceQuotaIncrease"
    assert "--desired-value 3" in command


def test_the_watchdog_deletes_everything_when_its_run_is_gone(cloud: Cloud, tmp_path: Path):
    cloud.leave_something()
    run = run_in(tmp_path)
    assert len(left_over(run)) == 4
    watchdog = Watchdog(run)
    assert watchdog.ready(60)
    assert watchdog.let_go() == 0, watchdog.log.read_text()
    assert left_over(run) == []


def test_the_guard_in_the_account_stays_until_no_endpoint_is_left(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cloud.leave_something()
    run = run_in(tmp_path)
    guard = run.stack("ProbeStack")
    queue = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    stacks = run.client("cloudformation")
    stacks.create_stack(StackName=guard, TemplateBody=json.dumps(queue))
    monkeypatch.setattr(cleanup, "PAUSE", 0.1)
    there: list[int] = []

    def log(line: str) -> None:
        if line.startswith(f"deleting the stack {guard}"):
            there.append(len(cloud.sagemaker.account.endpoints()))

    left = cleanup.end_everything(run, log, datetime.now(UTC) + timedelta(minutes=1))
    assert (left, there) == ([], [0])


def test_the_watchdog_leaves_a_run_alone_that_has_ended_by_itself(cloud: Cloud, tmp_path: Path):
    cloud.leave_something()
    watchdog = Watchdog(run_in(tmp_path))
    watchdog.say("done")
    assert watchdog.let_go() == 0
    assert cloud.sagemaker.account.endpoints() != []


def test_the_watchdog_ends_a_run_that_hangs_when_its_time_is_over(cloud: Cloud, tmp_path: Path):
    cloud.leave_something()
    run = run_in(tmp_path, began=datetime.now(UTC) - timedelta(minutes=46))
    command = [sys.executable, "-c", _RUNNER, str(run.file)]
    hanging = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": "."})
    assert hanging.wait(60) != 0
    eventually(lambda: left_over(run) == [], 60, every=0.5)


def test_the_commands_of_the_worst_case_are_valid(tmp_path: Path):
    make, *others = manual_commands(run_in(tmp_path))
    assert make.startswith(f"make smoke-aws ARGS='--clean {PREFIX} --region")
    assert [parse(command).operation for command in others].count("DeleteEndpoint") == 3


def test_clean_deletes_only_what_a_run_has_left(cloud: Cloud, tmp_path: Path):
    refused = start("--clean", "parkmeter", "--region", REGION, "--folder", str(tmp_path))
    assert refused.returncode == 2
    cloud.leave_something()
    cloud.sagemaker.client().create_endpoint(EndpointName="other", EndpointConfigName="of-a-run")
    done = start("--clean", PREFIX, "--region", REGION, "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [one.name for one in cloud.sagemaker.account.endpoints()] == ["other"]


def test_clean_remembers_what_the_stacks_of_a_run_left_behind(cloud: Cloud, tmp_path: Path):
    cloud.leave_something()
    folder = tmp_path / "2026-11-30-120000"
    folder.mkdir()
    # Its stacks are gone, so only its file knows the names.
    run_in(folder, retained={"AWS::SageMaker::EndpointConfig": ["of-a-run"]})
    done = start("--clean", PREFIX, "--region", REGION, "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    client = cloud.sagemaker.client()
    with pytest.raises(client.exceptions.ClientError, match="Could not find"):
        client.describe_endpoint_config(EndpointConfigName="of-a-run")


def test_a_report_settles_each_assumption_and_names_no_account(tmp_path: Path):
    run = run_in(tmp_path)
    facts = {
        "delete-creating": f'ValidationException: Cannot update in-progress endpoint "arn:aws:'
        f'sagemaker:us-east-1:{ACCOUNT}:endpoint/{PREFIX}-flan-t5".',
        "delete-delay": "0.4 s",
        "create-existing": "accepted",
    }
    steps = [Step("cdk bootstrap", 3, "done"), Step("cdk synth", 2, trouble=f"in {ACCOUNT} | no")]
    text = report(Outcome(run, steps, facts, [], [], timedelta(minutes=30)))
    assert "# Smoke test on AWS: FAILED" in text
    assert ACCOUNT not in text
    assert "| in (account) \\| no |" in text
    verdicts = {fact.key: fact.verdict(facts.get(fact.key)) for fact in FACTS}
    assert verdicts["delete-creating"] is verdicts["delete-delay"] is Verdict.AS_ASSUMED
    assert verdicts["create-existing"] is Verdict.DIFFERS
    assert verdicts["price"] is Verdict.NOT_SEEN
    assert "At most $0.17" in text
