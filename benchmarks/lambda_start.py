"""The start of the functions that a prompt passes on AWS, against minimal handlers.

For the authorizer and for inference: import of the handler's module and its first answer, measured
inside a fresh process, beside a bare boto3 handler that looks at the same table and asks the same
model, and knows no scope, no expiry and no refusal. The target is 1.3 times as long.

The packages are those of `cdk deploy`, built by the same code. A process can import its package,
boto3 with what that needs, and Python's own modules. boto3 comes with its bytecode, packages come
without and cannot keep any, as on Lambda: every start compiles parkmeter. DynamoDB is moto,
SageMaker the simulator, both in this process and over loopback. What they take is in
the time of either handler, which flatters the ratio; it is not in the processor time.

The last lines have the size of every function's package for Lambda's processor, boto3 not counted:
Lambda has it.

    python -m benchmarks.lambda_start [--rounds 15]
"""

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from benchmarks.report import Bound, Claim, Effort, Missing, Row, main
from parkmeter.core.meter import Phase, Run
from parkmeter.core.tokens import Token, digest_of
from simulator.cdk import use_packaged_node
from simulator.deployment import Deployed, deployed
from simulator.moto_server import moto_server
from simulator.sagemaker.simulator import SageMakerSimulator

use_packaged_node()

from stacks.bundling import LAMBDA, LOCAL, LambdaPackages, pinned_for  # noqa: E402 (needs node)
from stacks.module_graph import needed_by  # noqa: E402

TARGET = 1.3
FUNCTIONS = Path(__file__).parent / "lambda_functions"
PROVIDED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""boto3 and what it imports; on AWS a part of Lambda's own runtime."""

SECRET, PASS_CODE = "a-token-for-benchmarks", "a-pass-code"
PROMPT = {"text_inputs": "write a story about beautiful weather on a topical island."}


def measure(effort: Effort) -> Iterator[Row]:
    """Measure the starts as ratios and milliseconds, then the sizes."""
    with TemporaryDirectory(prefix="lambda-start-") as folder:
        yield from _starts(Path(folder), effort.rounds)
        yield from _sizes(Path(folder) / "sizes", effort)


# ── What is asked ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Question:
    """An event of API Gateway for a function, and whether an answer to it is right."""

    function: str
    label: str
    event: Mapping[str, Any]
    is_right: Callable[[Mapping[str, Any]], bool]


def _to_authorizer(secret: str) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:111122223333:abc123/prod/POST/flan",
        "resource": "/flan",
        "path": "/flan",
        "httpMethod": "POST",
        "headers": {"Authorization": secret, "Content-Type": "application/json"},
        "requestContext": {"stage": "prod", "path": "/prod/flan"},
    }


def _to_inference() -> dict[str, Any]:
    token = {"id": "t1", "name": "laptop", "scopes": "invoke,top-up", "endpoints": "*"}
    return {
        "resource": "/flan",
        "path": "/flan",
        "httpMethod": "POST",
        "headers": {
            "Authorization": SECRET,
            "Content-Type": "application/json",
            "Host": "abc123.execute-api.us-east-1.amazonaws.com",
            "X-Forwarded-Proto": "https",
        },
        "requestContext": {"stage": "prod", "path": "/prod/flan", "authorizer": token},
        "body": base64.b64encode(json.dumps(PROMPT).encode()).decode(),
        "isBase64Encoded": True,
    }


def _is_allowed(answer: Mapping[str, Any]) -> bool:
    return answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"


def _is_text(answer: Mapping[str, Any]) -> bool:
    body = base64.b64decode(answer["body"])
    return answer["statusCode"] == 200 and "generated_texts" in json.loads(body)


QUESTIONS = (
    Question("authorizer", "authorizer", _to_authorizer(SECRET), _is_allowed),
    Question("authorizer", "authorizer, pass code by hand", _to_authorizer(PASS_CODE), _is_allowed),
    Question("inference", "inference", _to_inference(), _is_text),
)
"""A token that parkmeter made takes one look; a pass code that was put there by hand takes two."""


# ── The cloud ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _cloud() -> Iterator[dict[str, str]]:
    """Yield the environment of a deployment: open meter, serving endpoint, token, pass code."""

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
    for key in (SECRET, PASS_CODE):  # the bare handler knows no digests
        deployment.dynamodb.put_item(TableName=deployment.tables.auth, Item={"token": key})


# ── A start ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Start:
    """One handler and one question, in fresh processes; milliseconds of each."""

    package: Path
    module: str
    question: Question
    imported: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def measure(self, runtime: Path, environment: Mapping[str, str]) -> None:
        started = str(FUNCTIONS / "started.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", started, self.package, runtime, self.module],
            input=json.dumps(self.question.event),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{self.module}: {done.stderr}")
        said = json.loads(done.stdout)
        if not self.question.is_right(said["answer"]):
            raise SystemExit(f"{self.module}: {said['answer']}\n{done.stderr}")
        self.imported.append(said["imported"] * 1e3)
        self.answered.append(said["answered"] * 1e3)
        self.cpu.append(said["cpu"] * 1e3)


def _starts(folder: Path, rounds: int) -> Iterator[Claim]:
    runtime = folder / "runtime"
    _link_runtime(runtime)
    pairs = []
    for question in QUESTIONS:
        bare, ours = f"bare_{question.function}", f"parkmeter.aws.{question.function}"
        package = folder / bare
        package.mkdir(exist_ok=True)
        shutil.copy(FUNCTIONS / f"{bare}.py", package)
        _build(ours, folder / ours, LOCAL)
        pairs.append((_Start(package, bare, question), _Start(folder / ours, ours, question)))
    with _cloud() as environment:
        for pair in pairs:
            for start in pair:  # warm: files in memory, moto's own first answer
                replace(start, imported=[], answered=[], cpu=[]).measure(runtime, environment)
        for number in range(rounds):
            for pair in pairs:
                for start in reversed(pair) if number % 2 else pair:
                    start.measure(runtime, environment)
    for pair in pairs:
        yield from _compared(*pair)


def _compared(bare: _Start, ours: _Start) -> Iterator[Claim]:
    subject = f"Lambda start, {bare.question.label}"
    wall = [mine / base for mine, base in zip(ours.answered, bare.answered, strict=True)]
    cpu = [mine / base for mine, base in zip(ours.cpu, bare.cpu, strict=True)]
    yield Claim(subject, "first answer ÷ bare", wall, "", Bound.AT_MOST, TARGET)
    yield Claim(subject, "CPU ÷ bare", cpu)
    for name, start in (("bare", bare), ("ours", ours)):
        yield Claim(subject, f"import, {name}", start.imported, "ms")
        yield Claim(subject, f"import and first answer, {name}", start.answered, "ms")
        yield Claim(subject, f"CPU, {name}", start.cpu, "ms")


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


def _build(module: str, folder: Path, platform: str) -> None:
    """Return the deployed package whose handler is `<module>.handler`."""
    packages = LambdaPackages(platform)
    needed = needed_by(module, packages.source)
    packages.build(needed, pinned_for(needed.others), folder)


# ── The sizes ───────────────────────────────────────────────────────────────────────────────────


def _sizes(folder: Path, effort: Effort) -> Iterator[Row]:
    source = LambdaPackages().source
    for module in _handlers():
        subject = f"package of {module}"
        fetched = pinned_for(needed_by(module, source).others).file is not None
        if fetched and not effort.installs:
            yield Missing(subject, "the packages that it needs are not fetched in a short run")
            continue
        package = folder / module
        _build(module, package, LAMBDA)
        files = sorted(file for file in package.rglob("*") if file.is_file())
        size = sum(file.stat().st_size for file in files) / 1e6
        zipped = _zipped(files, package, folder / f"{module}.zip") / 1e6
        yield Claim(subject, "files", [len(files)])
        yield Claim(subject, "size", [size], "MB")
        yield Claim(subject, "zipped", [zipped], "MB")


def _handlers() -> list[str]:
    """Return the modules of all functions: those with a handler."""
    scripts = sorted((LambdaPackages().source / "parkmeter" / "aws").glob("*.py"))
    return [
        f"parkmeter.aws.{file.stem}" for file in scripts if "\ndef handler(" in file.read_text()
    ]


def _zipped(files: list[Path], root: Path, archive: Path) -> int:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for file in files:
            package.write(file, file.relative_to(root))
    return archive.stat().st_size


if __name__ == "__main__":
    main(__doc__, measure, full=Effort(rounds=15), smoke=Effort(rounds=1, installs=False))
