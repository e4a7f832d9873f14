"""All checks of a deployment on AWS, in order: what costs money first.

Only reads. It may be run at any time, by any person whose credentials may read the account.
"""

from collections.abc import Iterator
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.doctor.account import DENIED, Account, code_of, described, guarded
from parkmeter.aws.doctor.clock import examine_clock, examine_meters
from parkmeter.aws.doctor.deployment import Deployment, clock_of, find_deployment
from parkmeter.aws.doctor.models import examine_models
from parkmeter.aws.doctor.orphans import examine_endpoints, examine_stacks
from parkmeter.aws.doctor.protection import (
    examine_concurrency,
    examine_subscriptions,
    examine_tables,
)
from parkmeter.aws.doctor.quotas import examine_quotas
from parkmeter.core.finding import Finding, good, wrong


def examine(account: Account, prefix: str, now: datetime) -> list[Finding]:
    """Return all findings for the deployment of a prefix, in the order in which to fix them."""
    return list(_examine(account, prefix, now))


def _examine(account: Account, prefix: str, now: datetime) -> Iterator[Finding]:
    try:
        identity = account.client("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        yield wrong(
            "credentials",
            f"AWS does not accept them: {described(error)}",
            "Log in (aws sso login), or name others: AWS_PROFILE=… parkmeter doctor --aws",
        )
        return
    yield good("credentials", f"account …{identity['Account'][-4:]}, region {account.region}")
    deployment: Deployment | None = None
    try:
        deployment = find_deployment(account, prefix)
    except (ClientError, BotoCoreError) as error:
        do = "Use credentials that may" if code_of(error) in DENIED else "Run it again"
        yield wrong("deployment", described(error), do)
    else:
        yield _found(account, prefix, deployment)
    yield from guarded("orphans", lambda: examine_endpoints(account, prefix))
    yield from guarded("stacks", lambda: examine_stacks(account, deployment, prefix))
    if deployment is not None:
        yield from _examine_deployment(account, deployment, now)
    yield from guarded("functions", lambda: examine_concurrency(account))


def _examine_deployment(
    account: Account, deployment: Deployment, now: datetime
) -> Iterator[Finding]:
    yield from guarded("clock", lambda: examine_clock(account, deployment, now))
    yield from guarded("meters", lambda: examine_meters(account, deployment, now))
    yield from guarded("tables", lambda: examine_tables(account, deployment))
    yield from guarded("mails", lambda: examine_subscriptions(account, deployment))
    yield from guarded("models", lambda: examine_models(account, deployment))
    yield from guarded("quotas", lambda: examine_quotas(account, deployment))


def _found(account: Account, prefix: str, deployment: Deployment | None) -> Finding:
    if deployment is None:
        return wrong(
            "deployment",
            f"there is no function {clock_of(prefix)} in {account.region}",
            "Deploy it (cdk deploy EndpointManagerStack), or name another one: --prefix, --region",
        )
    names = ", ".join(deployment.definitions) or "no endpoint"
    return good("deployment", f"{prefix}: {names}")
