"""The permissions that calls of DynamoDB need.

`dynamodb:LeadingKeys`: guide, "Using IAM policy conditions for fine-grained access control".
Transactions and batches: guide, "Using IAM with DynamoDB transactions": the permissions of the
underlying operations.
"""

import re
from collections.abc import Mapping
from typing import Any

from simulator.iam.call import Needs, Parameters, Request, UncheckedCallError
from simulator.iam.policy import Context, Need

_IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def one_item(request: Request) -> Needs:
    """Yield what a read or write of one item needs."""
    yield _item_need(request, request.call.operation, request.parameters)


def transaction(request: Request) -> Needs:
    """Yield what each write of a transaction needs."""
    for write in request.parameters["TransactItems"]:
        for kind, members in write.items():
            enclosing = {"dynamodb:EnclosingOperation": (request.call.operation,)}
            yield _item_need(request, _IN_TRANSACTION[kind], members, enclosing)


def batch_get(request: Request) -> Needs:
    """Yield what each table of a batch needs."""
    for table, wanted in request.parameters["RequestItems"].items():
        name = request.known.partition_key(table)
        keys = tuple(_plain(key[name]) for key in wanted["Keys"] if name in key)
        context = {"dynamodb:LeadingKeys": keys}
        yield Need("dynamodb:BatchGetItem", _table(request, table), context)


def query(request: Request) -> Needs:
    """Yield what a query, by its partition key needs."""
    asked = request.parameters
    values = asked.get("ExpressionAttributeValues", {})
    names = asked.get("ExpressionAttributeNames", {})
    # The partition key is the one that a query compares with `=`.
    equal = re.search(r"([\w#.-]+) *= *(:\w+)", asked["KeyConditionExpression"])
    context = {"dynamodb:LeadingKeys": (_plain(values[equal[2]]),)} if equal else {}
    index = asked.get("IndexName")
    if equal and index is None:
        expected = request.known.partition_key(asked["TableName"])
        if expected and names.get(equal[1], equal[1]) != expected:
            raise UncheckedCallError(f"a query by {equal[1]}, which is no partition key")
    resource = _table(request, asked["TableName"]) + (f"/index/{index}" if index else "")
    yield Need("dynamodb:Query", resource, context)


def scan(request: Request) -> Needs:
    """Yield what a scan needs."""
    yield Need("dynamodb:Scan", _table(request, request.parameters["TableName"]))


def _item_need(
    request: Request, operation: str, members: Parameters, more: Context | None = None
) -> Need:
    table = members["TableName"]
    name = request.known.partition_key(table)
    item = members.get("Key") or members.get("Item") or {}
    leading = (_plain(item[name]),) if name in item else ()
    context = {"dynamodb:LeadingKeys": leading, **(more or {})}
    return Need(f"dynamodb:{operation}", _table(request, table), context)


def _table(request: Request, name: str) -> str:
    return request.arn("dynamodb", f"table/{name}")


def _plain(value: Mapping[str, Any]) -> str:
    """Return the text of a typed value such as `{"S": "flan-t5"}`."""
    (text,) = value.values()
    return str(text)
