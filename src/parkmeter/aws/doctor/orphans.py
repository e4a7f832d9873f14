"""What a deployment left behind: endpoints that nothing stops, stacks that `cdk` no longer lists.

An endpoint in a forgotten region costs as much as any other, so all regions are asked.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.doctor.account import DENIED, Account, code_of
from parkmeter.aws.doctor.deployment import Deployment, clock_of
from parkmeter.aws.stack_names import DEFAULT_PREFIX, stack_of, title_of
from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.drivers.sagemaker import TAG

PROJECT = ("project", "parkmeter")
"""The tag of every stack, and by it of what they create (`stacks/project.py`)."""

OWN_PROJECT = ("parkmeter:project", "parkmeter")
"""The same where the settings give `project` another value."""

MANAGER = "EndpointManagerStack"
"""The stack that every deployment has (`stacks/project.py`)."""

STACK = "aws:cloudformation:stack-name"
"""CloudFormation's own tag on what it creates."""

_NOT_ENABLED = frozenset(
    {"UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "OptInRequired"}
)
"""The answers of a region that the account has not enabled."""

_MOST = 500
"""Endpoints looked at in a region; reading the tags of each takes a call."""

_REGIONS_AT_ONCE = 12

_OF_AN_ENDPOINT = ("MeteredStack", "LambdaStack", "AsyncStack")


@dataclass(frozen=True, slots=True)
class _Region:
    """The outcome of one region: endpoints that nothing stops, or the reason it was not seen.

    `deployed`: the deployment of this prefix is there too.
    """

    region: str
    orphans: tuple[str, ...] = ()
    unseen: bool = False
    denied: bool = False
    deployed: bool = False


def examine_endpoints(account: Account, prefix: str) -> Iterator[Finding]:
    """Check every region for endpoints that parkmeter created and that no clock or stack owns."""
    with ThreadPoolExecutor(_REGIONS_AT_ONCE) as pool:
        found = list(pool.map(lambda region: _look(account, region, prefix), account.regions()))
    for one in found:
        for endpoint in one.orphans:
            yield wrong(
                "orphans",
                f"{endpoint} in {one.region} costs money, and the deployment that created it is "
                "gone: nothing stops it",
                f"aws sagemaker delete-endpoint --endpoint-name {endpoint} --region {one.region}",
            )
    if not any(one.orphans for one in found):
        seen = sum(not (one.unseen or one.denied) for one in found)
        yield good("orphans", f"no endpoint without a deployment, in {seen} regions")
    if unseen := [one.region for one in found if one.unseen]:
        yield note("orphans", f"not looked at: {', '.join(unseen)}", "Run it again later.")
    if denied := [one.region for one in found if one.denied]:
        yield note(
            "orphans",
            f"not looked at, your credentials may not: {', '.join(denied)}",
            "If endpoints may have been created there, run it with credentials that may look.",
        )
    if others := [one.region for one in found if one.deployed]:
        yield note(
            "deployments",
            f"{prefix} is deployed in {', '.join(others)} too",
            "If that was forgotten when `region` in app.py was changed: docs/aws-operations.md, "
            "another region",
        )


def _look(account: Account, region: str, prefix: str) -> _Region:
    try:
        orphans = tuple(_orphans(account, region))
        deployed = region != account.region and _has_clock(account, region, prefix)
    except ClientError as error:
        if code_of(error) in _NOT_ENABLED:
            return _Region(region)
        if code_of(error) in DENIED:
            return _Region(region, denied=True)
        return _Region(region, unseen=True)
    except BotoCoreError:
        return _Region(region, unseen=True)
    return _Region(region, orphans, deployed=deployed)


def _orphans(account: Account, region: str) -> Iterator[str]:
    sagemaker = account.client("sagemaker", region)
    pages = sagemaker.get_paginator("list_endpoints").paginate(
        PaginationConfig={"PageSize": 100, "MaxItems": _MOST}
    )
    owned: dict[str, bool] = {}
    for page in pages:
        for endpoint in page["Endpoints"]:
            if endpoint["EndpointStatus"] == "Deleting":
                continue
            tags = _tags(sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"])
            if deployment := tags.get(TAG):
                if deployment not in owned:
                    owned[deployment] = _has_clock(account, region, deployment)
                if not owned[deployment]:
                    yield endpoint["EndpointName"]
            elif _of_project(tags) and not _may_have_stack(account, region, tags.get(STACK)):
                yield endpoint["EndpointName"]


def _has_clock(account: Account, region: str, deployment: str) -> bool:
    functions = account.client("lambda", region)
    try:
        functions.get_function_configuration(FunctionName=clock_of(deployment))
    except functions.exceptions.ResourceNotFoundException:
        return False
    return True


def _may_have_stack(account: Account, region: str, stack: str | None) -> bool:
    if stack is None:
        return True  # no proof that its stack is gone, so no advice to delete it
    try:
        found = account.client("cloudformation", region).describe_stacks(StackName=stack)
    except ClientError as error:
        if code_of(error) == "ValidationError":
            return False
        raise
    return any(one["StackStatus"] != "DELETE_COMPLETE" for one in found["Stacks"])


def examine_stacks(
    account: Account, deployment: Deployment | None, prefix: str
) -> Iterator[Finding]:
    """Check this region's stacks: failed ones, and those of endpoints no longer configured."""
    pages = account.stacks.get_paginator("describe_stacks").paginate()
    ours = {
        stack["StackName"]: stack
        for page in pages
        for stack in page["Stacks"]
        if _of_project(_tags(stack.get("Tags", [])))
    }
    troubled = False
    for name in sorted(ours):
        if name.endswith(MANAGER) and name != stack_of(prefix, MANAGER):
            other = name.removesuffix(f"-{MANAGER}") if name != MANAGER else DEFAULT_PREFIX
            yield note(
                "deployments",
                f"{other} is deployed in this region too",
                "If that was forgotten when `prefix` in app.py was changed: "
                "docs/aws-operations.md, another prefix",
            )
    for name, stack in sorted(ours.items()):
        if finding := _failed(account, name, stack):
            troubled = True
            yield finding
    configured = _configured(account, stack_of(prefix, MANAGER))
    if deployment is not None and configured is not None:
        known = {
            stack_of(prefix, title_of(endpoint) + kind)
            for endpoint in configured
            for kind in _OF_AN_ENDPOINT
        }
        for name in sorted(ours):
            if name in known or not name.endswith(_OF_AN_ENDPOINT) or not _is_of(prefix, name):
                continue
            troubled = True
            yield _left(account, name)
    if not troubled:
        yield good("stacks", f"{len(ours)} of parkmeter in this region, none failed or left over")


def _failed(account: Account, name: str, stack: Mapping[str, Any]) -> Finding | None:
    status = stack["StackStatus"]
    match status:
        case "DELETE_FAILED":
            do = account.in_region(f"aws cloudformation delete-stack --stack-name {name}")
            return wrong(
                "stacks",
                f"{name} could not be deleted: {stack.get('StackStatusReason', 'no reason given')}",
                f"{do} (docs/aws-operations.md, DELETE_FAILED)",
            )
        case "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED":
            do = account.in_region(f"aws cloudformation delete-stack --stack-name {name}")
            if stack.get("EnableTerminationProtection"):
                unprotect = "update-termination-protection --no-enable-termination-protection"
                allow = account.in_region(f"aws cloudformation {unprotect} --stack-name {name}")
                do = f"{allow}, then {do}"
            seen = f"{name} was never created ({status})"
            if table := _left_table(account, name):
                seen += f", and left its table {table}, on which its next creation would fail"
                unprotect, delete = (
                    account.in_region(f"aws dynamodb {command} --table-name {table}")
                    for command in ("update-table --no-deletion-protection-enabled", "delete-table")
                )
                do = f"{do}, then {unprotect}, then {delete} (docs/aws-settings.md, production)"
            return wrong("stacks", seen, f"{do}, then deploy it")
        case "UPDATE_ROLLBACK_FAILED":
            do = account.in_region(
                f"aws cloudformation continue-update-rollback --stack-name {name}"
            )
            return wrong("stacks", f"{name} is half updated ({status})", do)
        case _:
            return None


def _left_table(account: Account, stack: str) -> str | None:
    """Return the table of a stack in production that still exists after its rollback."""
    pages = account.stacks.get_paginator("list_stack_resources").paginate(StackName=stack)
    for page in pages:
        for one in page["StackResourceSummaries"]:
            table: str = one.get("PhysicalResourceId", "")
            if one["ResourceType"] == "AWS::DynamoDB::Table" and table:
                try:
                    account.dynamodb.describe_table(TableName=table)
                except account.dynamodb.exceptions.ResourceNotFoundException:
                    continue
                return table
    return None


def _left(account: Account, name: str) -> Finding:
    delete = account.in_region(f"aws cloudformation delete-stack --stack-name {name}")
    do = f"{delete} (or, if its endpoint is in app.py: cdk deploy EndpointManagerStack)"
    seen = f"{name} is of an endpoint that EndpointManagerStack does not provision"
    if name.endswith("AsyncStack"):
        return wrong("stacks", f"{seen}; its queue can start instances", do)
    return note("stacks", seen, do)


def _configured(account: Account, manager: str) -> set[str] | None:
    """Return the endpoints that the deployed manager provisions; None if it is not deployed."""
    try:
        pages = account.stacks.get_paginator("list_stack_resources").paginate(StackName=manager)
        return {
            one["PhysicalResourceId"]
            for page in pages
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] == "Custom::ParkmeterEndpoint" and "PhysicalResourceId" in one
        }
    except ClientError as error:
        if code_of(error) == "ValidationError":
            return None
        raise


def _is_of(prefix: str, stack: str) -> bool:
    """Return whether a stack's name is one that this prefix gives; the default one adds none."""
    return "-" not in stack if stack_of(prefix, "") == "" else stack.startswith(f"{prefix}-")


def _of_project(tags: Mapping[str, str]) -> bool:
    return not {PROJECT, OWN_PROJECT}.isdisjoint(tags.items())


def _tags(listed: list[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed}
