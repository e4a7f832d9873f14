"""`make smoke-aws`, unchanged, on the simulated cloud: the run, and a run that is killed."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from simulator.cdk_command import PROJECT
from simulator.cloud import SimulatedCloud
from simulator.sagemaker.containers import Canned, Container
from simulator.sagemaker.endpoint import Delays
from tests.support.gateway_process import eventually
from tools.smoke_aws.facts import FACTS, Verdict

pytestmark = [pytest.mark.timeout(2400), pytest.mark.extended]

DELAYS = Delays(
    create=timedelta(seconds=15),
    provision=timedelta(seconds=1),
    health_check=timedelta(seconds=5),
    update=timedelta(seconds=1),
    delete=timedelta(seconds=3),
)
ONLY_ON_AWS = {
    "async-message",
    "creating-billed",
    "fill",
    "guard",
    "price",
    "retain-at-zero",
    "schedule-retries",
    "stream-minutes",
}
"""What the simulated cloud has no answer to."""


MEASURED = {"delete-delay"}
"""Seconds of real time, more on a busy machine; tests of the clock hold the promise."""


class Silent(Canned):
    """A container that never answers a ping."""

    def healthy(self) -> bool:
        return False


def launch(endpoint: str) -> Container:
    return Silent() if endpoint.endswith("-broken") else Canned()


@pytest.fixture(scope="module")
def cloud() -> Iterator[SimulatedCloud]:
    over = threading.Event()
    with SimulatedCloud(launch=launch, delays=DELAYS) as started:

        def tick() -> None:
            while not over.wait(15):
                started.tick()

        minutes = threading.Thread(target=tick)
        minutes.start()
        yield started
        over.set()
        minutes.join()
    assert started.sagemaker.bugs == []


def start(cloud: SimulatedCloud, folder: Path) -> "subprocess.Popen[str]":
    elsewhere = {
        **os.environ,
        **cloud.environment(),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    elsewhere.pop("AWS_PROFILE", None)
    options = ("--api-url", f"{cloud.url}/prod", "--context", "platform=local")
    return subprocess.Popen(
        [sys.executable, "-m", "tools.smoke_aws", "--yes", "--folder", str(folder), *options],
        cwd=PROJECT,
        env=elsewhere,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_by(cloud: SimulatedCloud, prefix: str) -> list[str]:
    """Return what exists under a prefix, asked of the services themselves."""
    endpoints = cloud.sagemaker.client().list_endpoints(MaxResults=100)["Endpoints"]
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    names = [one["EndpointName"] for one in endpoints]
    names += [one["StackName"] for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"]
    names += cloud.client("dynamodb").list_tables()["TableNames"]
    names += [one["Name"] for one in cloud.client("s3").list_buckets()["Buckets"]]
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    names += [one["logGroupName"].rpartition("/")[2] for one in groups]
    models = cloud.sagemaker.account._models
    names += [arn.rpartition("/")[2] for arn in models if prefix in arn]
    return [name for name in names if name.startswith(prefix)]


def test_a_run_proves_what_it_says_and_leaves_nothing(cloud: SimulatedCloud, tmp_path: Path):
    run = start(cloud, tmp_path)
    _, output = run.communicate(timeout=1800)
    report = next(tmp_path.glob("*/report.md")).read_text(encoding="utf-8")
    assert run.returncode == 0, f"{output}\n{report}"
    assert "# Smoke test on AWS: succeeded" in report
    verdicts = {fact.key: _verdict(report, fact.question) for fact in FACTS}
    assert {key for key, one in verdicts.items() if one == Verdict.DIFFERS} <= MEASURED
    assert {key for key, one in verdicts.items() if one == Verdict.NOT_SEEN} <= ONLY_ON_AWS
    assert "111122223333" not in report
    assert left_by(cloud, _prefix(report)) == []
    assert cloud.sagemaker.account.violations == []


def test_the_watchdog_ends_a_run_that_is_killed(cloud: SimulatedCloud, tmp_path: Path):
    run = start(cloud, tmp_path)
    assert run.stderr is not None
    lines = []
    while "refusals while the endpoint is created" not in (line := run.stderr.readline()):
        lines.append(line)
        assert run.poll() is None, lines
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stderr.close()
    (log,) = tmp_path.glob("*/watchdog.log")
    eventually(lambda: "everything is deleted" in log.read_text(encoding="utf-8"), 900, every=1)
    prefix = re.search(r"watching (\S+)", log.read_text(encoding="utf-8"))[1]
    assert left_by(cloud, prefix) == []


def _verdict(report: str, question: str) -> str:
    (row,) = [line for line in report.splitlines() if line.startswith(f"| {question} |")]
    return row.rstrip(" |").rpartition("| ")[2]


def _prefix(report: str) -> str:
    return re.search(r"prefix `(\S+)`", report)[1]
