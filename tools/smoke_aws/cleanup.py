"""The end of a run: delete everything of its prefix, and find what is left.

Needs neither CDK nor the run's templates, so that it works from any state, on any machine with
credentials. Each step may be repeated. Endpoints first, because only they cost much.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.smoke_aws import artifact
from tools.smoke_aws.run import ENDPOINTS, Run, now

Log = Callable[[str], None]

PAUSE = 5.0
"""Seconds between looks."""

LAST_STACKS = ("MeteredStack", "ProbeStack")
"""Ends of the names of stacks that others need while they are deleted."""

_FOR_LAST_STACKS = timedelta(minutes=5)


def end_everything(run: Run, log: Log, until: datetime) -> list[str]:
    """Delete all of a run; return what is left at the end of the time, empty if nothing is."""
    run = _remember_retained(run, log)
    _delete_stacks(run, log, until, last=False)
    # While an endpoint is there, so are the schedules in the account that delete it.
    if _delete_endpoints(run, log, until):
        _delete_stacks(run, log, max(until, now() + _FOR_LAST_STACKS), last=True)
        _delete_rest(run, log)
    return left_over(run)


def manual_commands(run: Run) -> list[str]:
    """Return the commands that end a run by hand, most expensive first."""
    region = f"--region {run.region}"
    query = f"\"Stacks[?starts_with(StackName, '{run.prefix}-')].StackName\""
    return [
        f"make smoke-aws ARGS='--clean {run.prefix} {region}'    # or, one by one:",
        *(
            f"aws cloudformation delete-stack --stack-name {run.stack(stack)} {region}"
            for stack in ("EndpointManagerStack", "FlanT5AsyncStack")
        ),
        *(
            f"aws sagemaker delete-endpoint --endpoint-name {run.endpoint(name)} {region}"
            for name in ENDPOINTS
        ),
        f"aws cloudformation describe-stacks {region} --query {query}",
    ]


def left_over(run: Run) -> list[str]:
    """Return all that exists under the run's prefix, as `kind name`."""
    return [
        *(f"endpoint {name}" for name in _endpoints(run)),
        *(f"stack {name}" for name in _stacks(run)),
        *(f"table {name}" for name in _tables(run)),
        *(f"function {name}" for name in _functions(run)),
        *(f"bucket {name}" for name in _buckets(run)),
        *(f"parameter {name}" for name in _parameters(run)),
        *(f"log group {name}" for name in _log_groups(run)),
        *(f"artifact {name}" for name in _artifacts(run)),
        *(f"{kind} {name}" for kind, names in _retained(run).items() for name in names),
    ]


# ── Stacks ───────────────────────────────────────────────────────────────────────────────────────


def remember_retained(run: Run) -> Run:
    """Return the run with the names of models and configs that its stacks keep on deletion."""
    client = run.client("cloudformation")
    found: dict[str, list[str]] = {}
    for stack in _stacks(run):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
        for page in pages:
            for one in page["StackResourceSummaries"]:
                kind = one["ResourceType"]
                if kind in _KEPT and one.get("PhysicalResourceId"):
                    name = one["PhysicalResourceId"].rpartition("/")[2]
                    found.setdefault(kind, []).append(name)
    for kind, names in found.items():
        run = run.with_retained(kind, names)
    return run


_KEPT = {"AWS::SageMaker::EndpointConfig": "endpoint_config", "AWS::SageMaker::Model": "model"}


def _remember_retained(run: Run, log: Log) -> Run:
    with _going_on(log, "the models of the stacks"):
        return remember_retained(run)
    return run


def _delete_stacks(run: Run, log: Log, until: datetime, *, last: bool) -> None:
    """Delete the stacks of one wave at once and wait for them; none needs another's outputs."""
    client, asked = run.client("cloudformation"), set[str]()
    while now() < until:
        wave: dict[str, str] = {}
        with _going_on(log, "the stacks"):
            wave = {
                name: status
                for name, status in _stacks(run).items()
                if name.endswith(LAST_STACKS) is last
            }
            if not wave:
                return
        for name, status in wave.items():
            if status == "DELETE_IN_PROGRESS":
                continue
            if status == "DELETE_FAILED" and name in asked:
                with _going_on(log, name):
                    client.delete_stack(StackName=name, RetainResources=_failed(client, name))
                continue
            asked.add(name)
            log(f"deleting the stack {name} ({status})")
            with _going_on(log, name):
                client.delete_stack(StackName=name)
        time.sleep(PAUSE)


def _failed(client: Any, stack: str) -> list[str]:
    """Return the resources whose deletion failed; the rest of the clean-up takes them."""
    pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [
        one["LogicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceStatus"] == "DELETE_FAILED"
    ]


def _stacks(run: Run) -> dict[str, str]:
    pages = run.client("cloudformation").get_paginator("describe_stacks").paginate()
    return {
        one["StackName"]: one["StackStatus"]
        for page in pages
        for one in page["Stacks"]
        if one["StackName"].startswith(f"{run.prefix}-") and one["StackStatus"] != "DELETE_COMPLETE"
    }


# ── Endpoints ────────────────────────────────────────────────────────────────────────────────────


def _delete_endpoints(run: Run, log: Log, until: datetime) -> bool:
    """Delete endpoints directly, one in progress as soon as it may be; return whether all went."""
    client = run.client("sagemaker")
    # An endpoint that is being created cannot be deleted, however late it is.
    until = max(until, now() + timedelta(minutes=1))
    while now() < until:
        there: list[str] = []
        with _going_on(log, "the endpoints"):
            there = _endpoints(run)
            if not there:
                return True
        for name in there:
            log(f"deleting the endpoint {name}")
            with _going_on(log, name):
                client.delete_endpoint(EndpointName=name)
        time.sleep(PAUSE)
    return False


def _endpoints(run: Run) -> list[str]:
    pages = run.client("sagemaker").get_paginator("list_endpoints")
    return [
        one["EndpointName"]
        for page in pages.paginate(NameContains=run.prefix)
        for one in page["Endpoints"]
        if one["EndpointName"].startswith(f"{run.prefix}-")
    ]


# ── The rest, which costs next to nothing ────────────────────────────────────────────────────────


def _delete_rest(run: Run, log: Log) -> None:
    sagemaker = run.client("sagemaker")
    for kind, names in _retained(run).items():
        for name in names:
            with _going_on(log, f"{kind} {name}"):
                if kind == "endpoint_config":
                    sagemaker.delete_endpoint_config(EndpointConfigName=name)
                else:
                    sagemaker.delete_model(ModelName=name)
    with _going_on(log, "the artifact"):
        artifact.delete(run)
    with _going_on(log, "the tables"):
        for name in _tables(run):
            run.client("dynamodb").delete_table(TableName=name)
    with _going_on(log, "the parameters"):
        for name in _parameters(run):
            run.client("ssm").delete_parameter(Name=name)
    with _going_on(log, "the functions"):
        for name in _functions(run):
            run.client("lambda").delete_function(FunctionName=name)
    with _going_on(log, "the log groups"):
        for name in _log_groups(run):
            run.client("logs").delete_log_group(logGroupName=name)
    with _going_on(log, "the buckets"):
        for name in _buckets(run):
            _delete_bucket(run.client("s3"), name)


def _retained(run: Run) -> dict[str, list[str]]:
    """Return the models and configs that still exist, by kind."""
    client = run.client("sagemaker")
    describe = {
        "endpoint_config": lambda name: client.describe_endpoint_config(EndpointConfigName=name),
        "model": lambda name: client.describe_model(ModelName=name),
    }
    found: dict[str, list[str]] = {}
    for resource, kind in _KEPT.items():
        for name in run.retained.get(resource, []):
            try:
                describe[kind](name)
            except ClientError as error:
                if "Could not find" not in str(error):
                    raise
            else:
                found.setdefault(kind, []).append(name)
    return found


def _artifacts(run: Run) -> list[str]:
    try:
        return [run.artifact] if artifact.is_there(run) else []
    except ClientError as error:
        if "NoSuchBucket" in str(error):  # the account has no CDK yet
            return []
        raise


def _tables(run: Run) -> list[str]:
    pages = run.client("dynamodb").get_paginator("list_tables").paginate()
    names = (name for page in pages for name in page["TableNames"])
    return [name for name in names if name.startswith(f"{run.prefix}-")]


def _functions(run: Run) -> list[str]:
    pages = run.client("lambda").get_paginator("list_functions").paginate()
    names = (one["FunctionName"] for page in pages for one in page["Functions"])
    return [name for name in names if name.startswith(f"{run.prefix}-")]


def _buckets(run: Run) -> list[str]:
    names = (one["Name"] for one in run.client("s3").list_buckets()["Buckets"])
    return [name for name in names if name.startswith(f"{run.prefix}-")]


def _parameters(run: Run) -> list[str]:
    pages = run.client("ssm").get_paginator("get_parameters_by_path")
    return [
        one["Name"]
        for page in pages.paginate(Path=f"/{run.prefix}", Recursive=True)
        for one in page["Parameters"]
    ]


def _log_groups(run: Run) -> list[str]:
    pages = run.client("logs").get_paginator("describe_log_groups")
    return [
        one["logGroupName"]
        for beginning in ("/aws/lambda/", "/aws/sagemaker/Endpoints/")
        for page in pages.paginate(logGroupNamePrefix=f"{beginning}{run.prefix}-")
        for one in page["logGroups"]
    ]


def _delete_bucket(s3: Any, name: str) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=one["Key"])
    s3.delete_bucket(Bucket=name)


@contextmanager
def _going_on(log: Log, what: str) -> Iterator[None]:
    """Log an error and go on: one thing that cannot be deleted must not keep the others."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        log(f"{what}: {error}")
