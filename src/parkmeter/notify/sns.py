"""A receiver that publishes events to an SNS topic, which mails them to its subscribers."""

from typing import Any, Protocol

from parkmeter.core.events import Event, text, title
from parkmeter.notify.receiver import ReadByPeople

_LONGEST_SUBJECT = 100
"""SNS accepts no longer ones, and only ASCII without control characters."""


class Topics(Protocol):
    """The part of boto3's SNS client used here."""

    def publish(self, **request: Any) -> Any: ...  # noqa: D102


class SnsReceiver(ReadByPeople):
    """Implements `Receiver`. Raises what boto3 raises."""

    def __init__(self, sns: Topics, topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def send(self, event: Event) -> None:
        """Publish one event; see `Receiver`."""
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=_subject(event),
            Message=text(event) + "\n",
            # For subscription filters; the id is the delivery's.
            MessageAttributes={
                "endpoint": {"DataType": "String", "StringValue": event.endpoint},
                "kind": {"DataType": "String", "StringValue": event.kind.value},
                "id": {"DataType": "String", "StringValue": event.id},
            },
        )


def _subject(event: Event) -> str:
    """Return the title as SNS accepts it: names in it may hold any character."""
    subject = f"parkmeter: {title(event)}".encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else " " for char in subject)[:_LONGEST_SUBJECT]
