"""Protection of data and of the people behind it: tables, mails, and room for the functions."""

from collections.abc import Iterator

from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.deployment import Deployment
from parkmeter.core.finding import Finding, good, note, wrong

ENOUGH_FUNCTIONS = 100
"""Concurrent functions: held prompts take one each, and the clock one for each that is due."""

_QUOTA_OF_FUNCTIONS = "L-B99A9384"
"""Service Quotas' code of Lambda's concurrent executions."""

_USUAL = 1000

_NO_TOKENS = "cdk deploy APIStack (if that is deployed: docs/aws-operations.md, lost table)"


def examine_tables(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Check that the tables can be restored and are protected from deletion."""
    for table in (deployment.tables.meters, deployment.tables.auth):
        what = f"table {table}"
        try:
            described = account.dynamodb.describe_table(TableName=table)["Table"]
        except account.dynamodb.exceptions.ResourceNotFoundException:
            yield _missing(table, deployment)
            continue
        backups = account.dynamodb.describe_continuous_backups(TableName=table)
        recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
            yield wrong(
                what,
                "it cannot be restored to an earlier time: point-in-time recovery is off",
                account.in_region(
                    f"aws dynamodb update-continuous-backups --table-name {table} "
                    "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
                ),
            )
        elif not described.get("DeletionProtectionEnabled"):
            yield note(
                what,
                "restorable to any second of 35 days, but `cdk destroy` deletes it",
                account.in_region(
                    f"aws dynamodb update-table --table-name {table} --deletion-protection-enabled"
                )
                + " (or production=True in app.py)",
            )
        else:
            yield good(what, "restorable to any second of 35 days, protected from deletion")


def _missing(table: str, deployment: Deployment) -> Finding:
    if table == deployment.tables.auth:
        return note(f"table {table}", "it does not exist, so no token works", _NO_TOKENS)
    return wrong(
        f"table {table}",
        "it does not exist: no meter can be read, nothing is stopped",
        "docs/aws-operations.md, lost table",
    )


def examine_subscriptions(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Check that alarms and warnings reach a confirmed address."""
    if deployment.topic is None:
        return
    client = account.client("sns")
    pages = client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=deployment.topic)
    found = [one for page in pages for one in page["Subscriptions"]]
    confirmed = [one for one in found if one["SubscriptionArn"].startswith("arn:")]
    for one in found:
        if one not in confirmed:
            yield wrong(
                "mails",
                f"{one['Endpoint']} has not confirmed its subscription and gets no mail",
                "Open the mail from AWS Notifications and click Confirm; to get it again: "
                + account.in_region(
                    f"aws sns subscribe --topic-arn {deployment.topic} --protocol "
                    f"{one['Protocol']} --notification-endpoint {one['Endpoint']}"
                ),
            )
    if not found:
        yield wrong(
            "mails",
            "alarms and warnings reach no address",
            'Set notification_email="you@example.org" in app.py, then: '
            "cdk deploy EndpointManagerStack",
        )
    elif confirmed:
        yield good("mails", f"{len(confirmed)} confirmed subscription(s)")


def examine_concurrency(account: Account) -> Iterator[Finding]:
    """Check how many functions may run at once."""
    limit = account.functions.get_account_settings()["AccountLimit"]
    at_once = limit["ConcurrentExecutions"]
    free = limit.get("UnreservedConcurrentExecutions", at_once)
    seen = f"{at_once} functions may run at once in this region, {free} of them not reserved"
    if free >= ENOUGH_FUNCTIONS:
        yield good("functions", seen)
        return
    yield note(
        "functions",
        f"{seen}: busy prompts can keep the clock waiting",
        account.in_region(
            "aws service-quotas request-service-quota-increase --service-code lambda "
            f"--quota-code {_QUOTA_OF_FUNCTIONS} --desired-value {_USUAL}"
        ),
    )
