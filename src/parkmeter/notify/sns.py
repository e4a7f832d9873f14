"""Tells an SNS topic what people should hear of; who subscribed gets a mail.

A line of the journal is committed once, and who committed it sends it: clocks that overlap send one
message. Knows no meters.
"""

from datetime import UTC
from typing import Any, Protocol

from parkmeter.entries import is_close_warning
from parkmeter.journal import Entry, Kind

TOLD = frozenset({Kind.READY, Kind.STOP, Kind.FAILURE, Kind.WARNING, Kind.EDIT, Kind.REMOVE})
"""What is worth a mail: not what whoever reads it has just done, and not every attempt."""

_LONGEST_SUBJECT = 100
"""SNS takes no longer ones, ASCII only, without line breaks."""

_WORDS = {
    Kind.READY: "is running",
    Kind.STOP: "has stopped",
    Kind.FAILURE: "has failed",
    Kind.WARNING: "needs your attention",
    Kind.EDIT: "has a new expiry",
    Kind.REMOVE: "is being removed",
}


class Topics(Protocol):
    """The call of boto3's SNS client that is made here."""

    def publish(self, **request: Any) -> Any: ...  # noqa: D102


class SnsNotifier:
    """Implements `ports.Notifier`. Raises what boto3 raises."""

    def __init__(self, sns: Topics, topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        if entry.kind not in TOLD:
            return
        subject = f"parkmeter: {entry.endpoint} {_WORDS[entry.kind]}"
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=subject[:_LONGEST_SUBJECT],
            Message=_message(entry),
            # For subscriptions that want some of it only; the key is the delivery's id.
            MessageAttributes={
                "endpoint": {"DataType": "String", "StringValue": entry.endpoint},
                "kind": {"DataType": "String", "StringValue": entry.kind.value},
                "key": {"DataType": "String", "StringValue": entry.key},
            },
        )


def _message(entry: Entry) -> str:
    # A start that has used up its credit closes later than what the expiry says.
    until = entry.at + entry.left if is_close_warning(entry) else entry.expires_at
    lines = [
        f"{entry.endpoint} {_WORDS[entry.kind]}: {entry.why}",
        "",
        f"At       {entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, by {entry.who}",
        f"Expires  {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    ]
    if entry.price_per_hour is not None:
        lines.append(f"Price    ${entry.price_per_hour} an hour")
    return "\n".join(lines) + "\n"
