"""The start of the functions on AWS that a prompt passes.

Import of the handler's module and its first answer, in a fresh process, beside a bare boto3
handler that looks at the same table and asks the same model, and knows no scope, no expiry and no
refusal. The packages are those of `cdk deploy`, without bytecode as on Lambda; boto3 has its own.
DynamoDB and SageMaker are simulated outside that process: their time is in neither CPU.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from benchmarks.figures import Effort, Figure, Measured, ratios
from parkmeter.core.meter import Phase, Run
from parkmeter.core.tokens import Token, digest_of
from simulator.cdk import use_packaged_node
from simulator.deployment import Deployed, deployed
from simulator.moto_server import moto_server
from simulator.sagemaker.simulator import SageMakerSimulator

use_packaged_node()

from stacks.bundling import LOCAL, LambdaPackages, pinned_for  # noqa: E402 (needs node)
from stacks.module_graph import needed_by  # noqa: E402

FUNCTIONS = Path(__file__).parents[1] / "lambda_functions"
EVENTS = json.loads((FUNCTIONS / "events.json").read_text(encoding="utf-8"))
PROVIDED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""boto3 and what it imports; on AWS a part of Lambda's own runtime."""

SECRET = "a-token-for-benchmarks"


ANSWERS = {"authorizer": '"Effect": "Allow"', "inference": '"statusCode": 200'}
"""A part of the right answer of each function to its event, which is in `events.json`."""


@contextmanager
def _cloud() -> Iterator[dict[str, str]]:
    """Yield the environment of a deployment: open meter, serving endpoint, token."""

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(hours=started)

    started = 0
    with (
        moto_server() as moto,
        SageMakerSimulator(now=later) as sagemaker,
        mock.patch.dict(os.environ),
        deployed(moto, os.environ.__setitem__) as deployment,
    ):
        deployment.define()
        sagemaker.add_config("on-a10g", "ml.g5.12xlarge")
        sagemaker.client().create_endpoint(
            EndpointName="parkmeter-flan-t5", EndpointConfigName="on-a10g"
        )
        started = 1  # an hour later it is in service
        _open(deployment)
        ours = {name: value for name, value in os.environ.items() if name.startswith("PARKMETER_")}
        yield {
            **ours,
            **sagemaker.environment(),
            "AWS_ENDPOINT_URL": moto,
            "AWS_LAMBDA_FUNCTION_NAME": "benchmarked",
            "HOME": "/nonexistent",  # a folder without AWS configuration
        }


def _open(deployment: Deployed) -> None:
    now = datetime.now(UTC)
    meter = replace(
        deployment.store.load("flan-t5"),
        expires_at=now + timedelta(hours=12),
        opened_at=now - timedelta(minutes=1),
        settled=False,
        run=Run(phase=Phase.READY, address="parkmeter-flan-t5"),
    )
    deployment.store.commit(meter, [])
    deployment.store.put_token(Token("bench", digest_of(SECRET), "bench", now))
    # The bare handler knows no digests.
    deployment.dynamodb.put_item(TableName=deployment.tables.auth, Item={"token": SECRET})


@dataclass(slots=True)
class _Start:
    """One handler, in fresh processes; milliseconds of each."""

    package: Path
    module: str
    function: str
    answered: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, runtime: Path, environment: Mapping[str, str]) -> None:
        """Start it once more."""
        started = str(FUNCTIONS / "started.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", started, self.package, runtime, self.module],
            input=json.dumps(EVENTS[self.function]),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.module}: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        if ANSWERS[self.function] not in json.dumps(found["answer"]):
            raise RuntimeError(f"{self.module}: {found['answer']}\n{done.stderr}")
        self.answered.append(found["answered"] * 1e3)
        self.cpu.append(found["cpu"] * 1e3)


def measure(effort: Effort) -> Measured:
    """Start both handlers of each function in turn."""
    with TemporaryDirectory(prefix="lambda-start-") as name:
        folder = Path(name)
        runtime = folder / "runtime"
        _link_runtime(runtime)
        pairs = [_pair(function, folder) for function in ANSWERS]
        with _cloud() as environment:
            for number in range(1 + effort.rounds(11)):
                for pair in pairs:
                    for start in reversed(pair) if number % 2 else pair:
                        start.measure(runtime, environment)
        return Measured(tuple(figure for pair in pairs for figure in _compared(*pair)))


def _pair(function: str, folder: Path) -> tuple[_Start, _Start]:
    """Build the packages of the bare handler and of ours."""
    bare, ours = f"bare_{function}", f"parkmeter.aws.{function}"
    (folder / bare).mkdir()
    shutil.copy(FUNCTIONS / f"{bare}.py", folder / bare)
    packages = LambdaPackages(LOCAL)
    needed = needed_by(ours, packages.source)
    packages.build(needed, pinned_for(needed.others), folder / ours)
    return _Start(folder / bare, bare, function), _Start(folder / ours, ours, function)


def _compared(bare: _Start, ours: _Start) -> Iterator[Figure]:
    """Compare the starts, without the first of each: it fills the caches of files."""
    wall, cpu = tuple(ours.answered[1:]), tuple(ours.cpu[1:])
    yield Figure(ours.function, "CPU", cpu, "ms")
    yield Figure(ours.function, "CPU ÷ bare", ratios(cpu, bare.cpu[1:]))
    yield Figure(ours.function, "first answer", wall, "ms")
    yield Figure(ours.function, "÷ bare", ratios(wall, bare.answered[1:]))
    size = sum(file.stat().st_size for file in ours.package.rglob("*") if file.is_file())
    yield Figure(ours.function, "package", (size / 1000,), "kB")


def _link_runtime(folder: Path) -> None:
    """Fill a folder with the modules of Lambda's own runtime, from this Python's packages."""
    folder.mkdir()
    for name in PROVIDED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{name} is not installed; it comes with: pip install -e '.[dev]'")
        origin = Path(spec.origin)
        source = origin.parent if spec.submodule_search_locations else origin
        (folder / source.name).symlink_to(source)
        cached = Path(importlib.util.cache_from_source(str(origin)))
        if source == origin and cached.is_file():
            (folder / "__pycache__").mkdir(exist_ok=True)
            (folder / "__pycache__" / cached.name).symlink_to(cached)
