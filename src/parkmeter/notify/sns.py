"""Tells an SNS topic of events; who subscribed gets a mail. Knows no meters and no journal."""

from typing import Any, Protocol

from parkmeter.core.events import Event, text, title

_LONGEST_SUBJECT = 100
"""SNS takes no longer ones, and only ASCII without control characters."""


class Topics(Protocol):
    """The call of boto3's SNS client that is made here."""

    def publish(self, **request: Any) -> Any: ...  # noqa: D102


class SnsReceiver:
    """Implements `ports.Receiver`. Raises what boto3 raises."""

    def __init__(self, sns: Topics, topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def send(self, event: Event) -> None:
        """See `ports.Receiver`."""
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=_subject(event),
            Message=text(event) + "\n",
            # For subscriptions that want some of it only; the id is the delivery's.
            MessageAttributes={
                "endpoint": {"DataType": "String", "StringValue": event.endpoint},
                "kind": {"DataType": "String", "StringValue": event.kind.value},
                "id": {"DataType": "String", "StringValue": event.id},
            },
        )


def _subject(event: Event) -> str:
    """The title as SNS takes it: people may be called anything."""
    said = f"parkmeter: {title(event)}".encode("ascii", "replace").decode()
    return "".join(sign if sign.isprintable() else " " for sign in said)[:_LONGEST_SUBJECT]
