"""The two tables that `parkmeter.stores.dynamodb` uses.

Each is deleted with its stack, unless the deployment is for production. A table that exists already
is used by its name only and is no part of the stack.
"""

from typing import Any

from aws_cdk import RemovalPolicy, aws_dynamodb
from constructs import Construct

from stacks.encryption import deployment_key
from stacks.names import UNSETTLED_INDEX
from stacks.settings import ExistingTable, Settings

_ON_DEMAND = aws_dynamodb.BillingMode.PAY_PER_REQUEST
_RECOVERABLE = aws_dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)


def meters_table(scope: Construct, settings: Settings) -> aws_dynamodb.Table | None:
    """Return the table of meters, journal and keys, which expire by `ttl`; None if it exists."""
    if isinstance(settings.meters_table, ExistingTable):
        return None
    table = aws_dynamodb.Table(
        scope,
        "Meters",
        table_name=settings.names.meters_table,
        partition_key=_attribute("pk"),
        sort_key=_attribute("sk"),
        billing_mode=_ON_DEMAND,
        time_to_live_attribute="ttl",
        point_in_time_recovery_specification=_RECOVERABLE,
        **_kept(scope, settings),
    )
    # Sparse: only an unsettled meter has the attribute.
    table.add_global_secondary_index(
        index_name=UNSETTLED_INDEX,
        partition_key=_attribute(UNSETTLED_INDEX, aws_dynamodb.AttributeType.NUMBER),
        sort_key=_attribute("pk"),
        projection_type=aws_dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table


def auth_table(scope: Construct, settings: Settings) -> aws_dynamodb.Table | None:
    """Return the table of tokens, None if it exists; its key is the original project's."""
    if isinstance(settings.auth_table, ExistingTable):
        return None
    return aws_dynamodb.Table(
        scope,
        "Auth",
        table_name=settings.names.auth_table,
        partition_key=_attribute("token"),
        billing_mode=_ON_DEMAND,
        point_in_time_recovery_specification=_RECOVERABLE,
        **_kept(scope, settings),
    )


def _kept(scope: Construct, settings: Settings) -> dict[str, Any]:
    """Return the properties that decide on the end of a table, and on its encryption."""
    key = deployment_key(scope, settings)
    return {
        "removal_policy": RemovalPolicy.RETAIN if settings.production else RemovalPolicy.DESTROY,
        **({"deletion_protection": True} if settings.production else {}),
        **({"encryption_key": key} if key is not None else {}),
    }


def _attribute(
    name: str, kind: aws_dynamodb.AttributeType = aws_dynamodb.AttributeType.STRING
) -> aws_dynamodb.Attribute:
    return aws_dynamodb.Attribute(name=name, type=kind)
