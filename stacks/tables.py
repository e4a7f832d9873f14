"""The two tables that `parkmeter.stores.dynamodb` uses. Each is deleted with its stack."""

from aws_cdk import RemovalPolicy, aws_dynamodb
from constructs import Construct

from stacks.names import UNSETTLED_INDEX

_ON_DEMAND = aws_dynamodb.BillingMode.PAY_PER_REQUEST
_RECOVERABLE = aws_dynamodb.PointInTimeRecoverySpecification(point_in_time_recovery_enabled=True)


def meters_table(scope: Construct, name: str) -> aws_dynamodb.Table:
    """Return the table of meters, journal and keys; keys expire by `ttl`."""
    table = aws_dynamodb.Table(
        scope,
        "Meters",
        table_name=name,
        partition_key=_attribute("pk"),
        sort_key=_attribute("sk"),
        billing_mode=_ON_DEMAND,
        time_to_live_attribute="ttl",
        removal_policy=RemovalPolicy.DESTROY,
        point_in_time_recovery_specification=_RECOVERABLE,
    )
    # Sparse: only an unsettled meter has the attribute.
    table.add_global_secondary_index(
        index_name=UNSETTLED_INDEX,
        partition_key=_attribute(UNSETTLED_INDEX, aws_dynamodb.AttributeType.NUMBER),
        sort_key=_attribute("pk"),
        projection_type=aws_dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table


def auth_table(scope: Construct, name: str) -> aws_dynamodb.Table:
    """Return the table of tokens; its key is the original project's."""
    return aws_dynamodb.Table(
        scope,
        "Auth",
        table_name=name,
        partition_key=_attribute("token"),
        billing_mode=_ON_DEMAND,
        removal_policy=RemovalPolicy.DESTROY,
        point_in_time_recovery_specification=_RECOVERABLE,
    )


def _attribute(
    name: str, kind: aws_dynamodb.AttributeType = aws_dynamodb.AttributeType.STRING
) -> aws_dynamodb.Attribute:
    return aws_dynamodb.Attribute(name=name, type=kind)
