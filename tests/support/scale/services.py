"""The AWS clients of the clock, in memory: DynamoDB, SSM, SageMaker, SNS, for a great many meters.

They answer as boto3's clients do, and only what the clock asks. What is not in here raises.
SageMaker's rules are those of the simulator's account.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from botocore.exceptions import ClientError, ConnectTimeoutError

from simulator.sagemaker.account import Account
from simulator.sagemaker.endpoint import Endpoint
from simulator.sagemaker.refusals import RefusedError
from tests.support.scale.toll import Toll

Item = dict[str, Any]
Json = dict[str, Any]

INDEX_PAGE = 10_000
"""Keys of an index in one page of a megabyte, about."""


SERVICE_OF = {
    **dict.fromkeys(
        (
            "BatchGetItem",
            "DeleteItem",
            "GetItem",
            "PutItem",
            "Query",
            "TransactWriteItems",
            "UpdateItem",
        ),
        "dynamodb",
    ),
    **dict.fromkeys(
        ("GetParameter", "GetParameters", "GetParametersByPath", "PutParameter"), "ssm"
    ),
    **dict.fromkeys(
        ("CreateEndpoint", "DeleteEndpoint", "DescribeEndpoint", "ListEndpoints", "ListTags"),
        "sagemaker",
    ),
    "Publish": "sns",
}
"""As IAM names them. A transaction is granted by its parts."""


@dataclass
class Data:
    """What all clients share: items, parameters, mails, and when each endpoint's end was asked.

    `topic_hangs`: seconds after which a call of SNS fails, 0 if it does not.
    """

    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    below: dict[str, set[str]] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    parameters: dict[str, Json] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)
    deleted: dict[str, datetime] = field(default_factory=dict)
    topic_hangs: float = 0.0

    def put(self, item: Item) -> None:
        self.items[item["pk"], item["sk"]] = item
        self.below.setdefault(item["pk"], set()).add(item["sk"])
        if item["sk"] == "meter":
            (self.unsettled.add if "unsettled" in item else self.unsettled.discard)(item["pk"])


class TransactionCanceledError(ClientError):
    pass


class ConditionalCheckFailedError(ClientError):
    pass


class PlainDynamo:
    """With plain values, as the store takes it."""

    class exceptions:  # noqa: N801 (boto3's)
        TransactionCanceledException = TransactionCanceledError
        ConditionalCheckFailedException = ConditionalCheckFailedError

    _HOLDS: ClassVar[dict[str, Callable[[Item, Json], bool]]] = {
        "attribute_not_exists(pk)": lambda item, _: not item,
        "version = :read": lambda item, values: item.get("version") == values[":read"],
        "attribute_not_exists(pk) OR #at <= :old": lambda item, values: (
            not item or item["at"] <= values[":old"]
        ),
    }

    def __init__(self, data: Data, toll: Toll) -> None:
        self._data, self._toll = data, toll

    def get_item(self, *, Key: Item, **_: Any) -> Json:
        self._toll.pay("GetItem")
        found = self._data.items.get((Key["pk"], Key["sk"]))
        return {} if found is None else {"Item": found}

    def batch_get_item(self, *, RequestItems: Json) -> Json:
        self._toll.pay("BatchGetItem")
        ((table, wanted),) = RequestItems.items()
        assert len(wanted["Keys"]) <= 100
        keys = [(key["pk"], key["sk"]) for key in wanted["Keys"]]
        found = [self._data.items[key] for key in keys if key in self._data.items]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def put_item(self, *, Item: Item, **_: Any) -> None:
        self._toll.pay("PutItem")
        self._data.put(Item)

    def query(self, *, ExclusiveStartKey: Item | None = None, **asked: Any) -> Json:
        self._toll.pay("Query")
        if "IndexName" not in asked:
            return self._below(asked)
        after = "" if ExclusiveStartKey is None else ExclusiveStartKey["pk"]
        names = sorted(name for name in self._data.unsettled if name > after)[: INDEX_PAGE + 1]
        page = {"Items": [{"pk": name} for name in names[:INDEX_PAGE]]}
        return page | ({"LastEvaluatedKey": page["Items"][-1]} if len(names) > INDEX_PAGE else {})

    def _below(self, asked: Json) -> Json:
        """A journal, or what is posted and not claimed."""
        values = asked["ExpressionAttributeValues"]
        (partition,) = (values[key] for key in (":name", ":outbox") if key in values)
        first, last = values.get(":first", ""), values.get(":last", "\uffff")
        keys = [key for key in self._data.below.get(partition, ()) if first <= key <= last]
        backwards = not asked.get("ScanIndexForward", True)
        items = [self._data.items[partition, key] for key in sorted(keys, reverse=backwards)]
        if ":now" in values:
            items = [item for item in items if item.get("claimed_until", "") <= values[":now"]]
        return {"Items": items[: asked["Limit"]]}

    def update_item(self, *, Key: Item, ExpressionAttributeValues: Json, **_: Any) -> None:
        """A claim of what was posted."""
        self._toll.pay("UpdateItem")
        item = self._data.items.get((Key["pk"], Key["sk"]))
        if item is None or item.get("claimed_until", "") > ExpressionAttributeValues[":now"]:
            said = {"Code": "ConditionalCheckFailedException", "Message": "claimed"}
            raise ConditionalCheckFailedError({"Error": said}, "UpdateItem")
        item["claimed_until"] = ExpressionAttributeValues[":until"]

    def delete_item(self, *, Key: Item, **_: Any) -> None:
        self._toll.pay("DeleteItem")
        self._data.items.pop((Key["pk"], Key["sk"]), None)
        self._data.below.get(Key["pk"], set()).discard(Key["sk"])

    def transact_write_items(self, *, TransactItems: list[Json]) -> None:
        self._toll.pay("TransactWriteItems")
        puts = [write["Put"] for write in TransactItems]
        reasons = [
            {"Code": "None" if self._holds(put) else "ConditionalCheckFailed"} for put in puts
        ]
        if any(reason["Code"] != "None" for reason in reasons):
            said = {"Code": "TransactionCanceledException", "Message": "cancelled"}
            response = {"Error": said, "CancellationReasons": reasons}
            raise TransactionCanceledError(response, "TransactWriteItems")
        for put in puts:
            self._data.put(put["Item"])

    def _holds(self, put: Json) -> bool:
        present = self._data.items.get((put["Item"]["pk"], put["Item"]["sk"]), {})
        if "ConditionExpression" not in put:
            return True
        holds = self._HOLDS[put["ConditionExpression"]]
        return holds(present, put.get("ExpressionAttributeValues", {}))


class PlainSsm:
    class exceptions:  # noqa: N801 (boto3's)
        ParameterNotFound = KeyError

    def __init__(self, data: Data, toll: Toll) -> None:
        self._data, self._toll = data, toll

    def get_parameters(self, *, Names: list[str]) -> Json:
        self._toll.pay("GetParameters")
        assert len(Names) <= 10
        known = self._data.parameters
        return {"Parameters": [known[name] for name in Names if name in known]}

    def get_parameters_by_path(self, *, Path: str, **_: Any) -> Json:
        self._toll.pay("GetParametersByPath")
        found = [one for name, one in self._data.parameters.items() if name.startswith(f"{Path}/")]
        assert len(found) <= 10
        return {"Parameters": found}

    def put_parameter(self, *, Name: str, Value: str, **_: Any) -> None:
        self._toll.pay("PutParameter")
        publish(self._data, Name, Value, self._toll.threads.now())


def publish(data: Data, name: str, value: str, at: datetime) -> None:
    version = data.parameters.get(name, {"Version": 0})["Version"] + 1
    data.parameters[name] = {
        "Name": name,
        "Value": value,
        "Version": version,
        "LastModifiedDate": at,
    }


class PlainSageMaker:
    """The control plane over the simulator's rules."""

    def __init__(self, data: Data, account: Account, toll: Toll) -> None:
        self._data, self._account, self._toll = data, account, toll

    def describe_endpoint(self, *, EndpointName: str) -> Json:
        found = self._asked("DescribeEndpoint", lambda: self._account.endpoint(EndpointName))
        return _summary(found) | {"EndpointConfigName": found.config.name}

    def list_endpoints(
        self, *, MaxResults: int, NextToken: str = "", NameContains: str = ""
    ) -> Json:
        present = self._asked("ListEndpoints", self._account.endpoints)
        # By name, because what goes between two pages must not make the next one skip others.
        chosen = sorted(
            one.name for one in present if NameContains in one.name and one.name > NextToken
        )
        page, more = set(chosen[:MaxResults]), chosen[MaxResults:]
        token = {"NextToken": chosen[MaxResults - 1]} if more else {}
        return {"Endpoints": [_summary(one) for one in present if one.name in page], **token}

    def list_tags(self, *, ResourceArn: str) -> Json:
        tags = self._asked("ListTags", lambda: self._account.tags(ResourceArn))
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def create_endpoint(
        self, *, EndpointName: str, EndpointConfigName: str, Tags: list[Json]
    ) -> Json:
        tags = {tag["Key"]: tag["Value"] for tag in Tags}
        made = self._asked(
            "CreateEndpoint",
            lambda: self._account.create_endpoint(EndpointName, EndpointConfigName, tags),
        )
        return {"EndpointArn": made.arn}

    def delete_endpoint(self, *, EndpointName: str) -> None:
        self._asked("DeleteEndpoint", lambda: self._account.delete_endpoint(EndpointName))
        self._data.deleted.setdefault(EndpointName, self._toll.threads.now())

    def _asked(self, operation: str, answer: Callable[[], Any]) -> Any:
        self._toll.pay(operation)
        try:
            return answer()
        except RefusedError as refused:
            said = {"Code": refused.code, "Message": refused.message}
            raise ClientError({"Error": said}, operation) from refused


def _summary(endpoint: Endpoint) -> Json:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": str(endpoint.status),
    }


class PlainSns:
    def __init__(self, data: Data, toll: Toll) -> None:
        self._data, self._toll = data, toll

    def publish(self, *, Subject: str, **_: Any) -> None:
        if self._data.topic_hangs:
            self._toll.threads.sleep(self._data.topic_hangs)
            raise ConnectTimeoutError(endpoint_url="https://sns")
        self._toll.pay("Publish")
        self._data.mails.append(Subject)
