"""The Lambda behind `Custom::ParkmeterDeployCheck`: what a deployment would leave behind unseen.

It refuses an update that drops an async endpoint which is still deployed: afterwards `cdk` could
not destroy its stack, and its queue would go on starting instances. It reports endpoints that no
quota of the account lets start. What it cannot find out never fails a deployment. Knows SageMaker
and Service Quotas; nothing of meters.
"""

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from parkmeter.aws import custom_resource
from parkmeter.aws.service_quotas import Quota, quotas_of
from parkmeter.aws.stack_names import stack_of, title_of

log = logging.getLogger(__name__)

_PHYSICAL_ID = "deploy-check"
_PATIENCE = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
)
_LONGEST = 2000
"""Characters of the report; CloudFormation takes answers of up to 4 KB."""


def handler(event: dict[str, Any], _context: Any) -> None:
    """Answer with `Quotas`, a report for people; fail if an async endpoint would be left.

    `Endpoints`: `Name`, `InstanceTypes` and `InstanceCount` of each. `Queues`: names of those with
    an async stack.
    """
    given = event["ResourceProperties"]
    if event["RequestType"] == "Delete":
        custom_resource.succeed(event, _PHYSICAL_ID)
        return
    # CloudFormation may leave out what is empty.
    before = event.get("OldResourceProperties", {}).get("Queues", ())
    after = given.get("Queues", ())
    if left := [name for name in before if name not in after and _has_queue(name)]:
        custom_resource.fail(event, _PHYSICAL_ID, _refusal(left))
        return
    custom_resource.succeed(event, _PHYSICAL_ID, {"Quotas": _report(given["Endpoints"])[:_LONGEST]})


# ── Queues ──────────────────────────────────────────────────────────────────────────────────────


def _has_queue(name: str) -> bool:
    """Return whether an async endpoint is deployed; False if that cannot be found out."""
    endpoint = f"{os.environ['PARKMETER_PREFIX']}-{name}-async"
    try:
        client = boto3.client("sagemaker", config=_PATIENCE)
        return bool(client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] != "Deleting")
    except ClientError as error:
        if not error.response["Error"]["Message"].startswith("Could not find endpoint"):
            log.exception("%s could not be looked for", endpoint)
    except Exception:
        log.exception("%s could not be looked for", endpoint)
    return False


def _refusal(names: list[str]) -> str:
    region, prefix = os.environ["AWS_REGION"], os.environ["PARKMETER_PREFIX"]
    stacks = [stack_of(prefix, f"{title_of(name)}AsyncStack") for name in names]
    commands = " && ".join(
        f"aws cloudformation {command} --stack-name {stack} --region {region}"
        for stack in stacks
        for command in ("delete-stack", "wait stack-delete-complete")
    )
    return (
        f"app.py no longer has {', '.join(stacks)}, which is still deployed: cdk could no longer "
        "destroy it, and its queue would go on starting instances. This update is undone. Fetch "
        f"the results that you need, run: {commands} and deploy again."
    )


# ── Quotas ──────────────────────────────────────────────────────────────────────────────────────


def _report(endpoints: Collection[Mapping[str, Any]]) -> str:
    kinds = {kind for one in endpoints for kind in one["InstanceTypes"]}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    try:
        quotas = quotas_of(boto3.client("service-quotas", config=_PATIENCE), kinds)
    except Exception:
        log.exception("the quotas of %s could not be read", sorted(kinds))
        return f"{today}: not known, Service Quotas could not be read"
    if stuck := list(_stuck(endpoints, quotas)):
        report = f"{today}: {' '.join(stuck)}"
        log.warning("%s", report)
        return report
    return f"{today}: no endpoint lacks one"


def _stuck(endpoints: Collection[Mapping[str, Any]], quotas: Mapping[str, Quota]) -> Iterator[str]:
    """Yield a sentence for each endpoint none of whose types may be started."""
    for one in endpoints:
        kinds, count = one["InstanceTypes"], int(one["InstanceCount"])
        # A type that Service Quotas does not list may well be permitted.
        if any(kind not in quotas or quotas[kind].limit >= count for kind in kinds):
            continue
        first = quotas[kinds[0]]
        yield (
            f"{one['Name']} CANNOT START: it needs {count} x {kinds[0]}, the quota is "
            f"{first.limit}. Run: {first.request(count)} --region {os.environ['AWS_REGION']}."
        )
