"""Is the clock alive, and has every meter that is closed been settled?"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.deployment import Deployment
from parkmeter.aws.heartbeat import ALIVE_WITHIN, Heartbeat
from parkmeter.core.finding import Finding, good, wrong
from parkmeter.core.meter import Spec, overdue
from parkmeter.core.time_text import utc
from parkmeter.stores.dynamodb import DynamoStore

OVERDUE = timedelta(minutes=15)
"""The same as the alarm's (`stacks/alarms.py`): SageMaker refuses some deletes for minutes."""


def examine_clock(account: Account, deployment: Deployment, now: datetime) -> Iterator[Finding]:
    """Check the heartbeat; if there is none, also the rule that should cause it."""
    last = Heartbeat(account.dynamodb, deployment.tables.meters).last()
    if last is not None and now - last < ALIVE_WITHIN:
        yield good("clock", f"its last tick was {(now - last).total_seconds():.0f} s ago")
        return
    seen = "it has never completed a tick" if last is None else f"its last tick was at {utc(last)}"
    rule = f"{deployment.prefix}-tick"
    described = account.client("events").describe_rule(Name=rule)
    if described.get("State") == "DISABLED":
        yield wrong(
            "clock",
            f"{seen}: its rule {rule} is disabled, so nothing is started or stopped",
            account.in_region(f"aws events enable-rule --name {rule}"),
        )
        return
    yield wrong(
        "clock",
        f"{seen}, so nothing is started or stopped",
        account.in_region(f"aws logs tail /aws/lambda/{deployment.clock} --since 15m"),
    )


def examine_meters(account: Account, deployment: Deployment, now: datetime) -> Iterator[Finding]:
    """Check for endpoints that live past their close and drain."""
    store = DynamoStore(account.dynamodb, deployment.tables)
    names = sorted(store.unsettled())
    late = False
    for name in names:
        known = deployment.definitions.get(name)
        by = overdue(known.spec if known else Spec(name), store.load(name), now)
        if by >= OVERDUE:
            late = True
            yield wrong(
                "meters",
                f"{name} has lived {by.total_seconds() / 60:.0f} minutes past its meter and costs "
                "money",
                account.in_region(
                    "aws sagemaker describe-endpoint --endpoint-name "
                    f"{known.endpoint if known else f'{deployment.prefix}-{name}'}"
                )
                + " (then docs/aws-operations.md, overdue endpoint)",
            )
    if not late:
        yield good("meters", f"{len(names)} not settled, none overdue")
