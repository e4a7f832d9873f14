"""Calls whose refusal is the answer, and what arrived in the run's queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tools.smoke_aws.run import Run


def refusal(call: Callable[[], Any]) -> str:
    """Return the refusal of a call as `code: message`; `accepted` if it was not refused."""
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]
        if found["Code"] != "ModelError":
            return f"{found['Code']}: {found['Message']}"
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return (
            f"ModelError: {status}, original {error.response.get('OriginalStatusCode')}, "
            f"{error.response.get('OriginalMessage', '')!r}"
        )
    return "accepted"


@dataclass
class Inbox:
    """Messages of the run's queue: EventBridge's events and SNS's notifications."""

    run: Run
    events: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sqs = self.run.client("sqs")
        self.url: str = self._sqs.get_queue_url(QueueName=self.run.stack("events"))["QueueUrl"]

    @property
    def arn(self) -> str:
        """Return the queue's ARN."""
        got = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        arn: str = got["Attributes"]["QueueArn"]
        return arn

    def subscribe(self, topic: str) -> None:
        """Let a topic's messages arrive here."""
        self.run.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn)

    def empty(self) -> None:
        """Take all messages that have arrived."""
        while True:
            got = self._sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
            ).get("Messages", [])
            if not got:
                return
            for message in got:
                self._take(message)
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def statuses(self, endpoint: str) -> list[str]:
        """Return the states of an endpoint of which events came, in their order."""
        name = self.run.endpoint(endpoint)
        return [
            one["detail"]["EndpointStatus"]
            for one in self.events
            if one["detail"]["EndpointName"] == name
        ]

    def _take(self, message: dict[str, Any]) -> None:
        document = json.loads(message["Body"])
        if "detail" not in document:
            self.notes.append(document)
            return
        self.events.append(document)
        changed = document["detail"].get("LastModifiedTime")
        if changed and "SentTimestamp" in message.get("Attributes", {}):
            sent = int(message["Attributes"]["SentTimestamp"])
            self.delays.append((sent - changed) / 1000)
