"""The port of a destination of events: a webhook, a chat, a mailbox."""

from typing import Protocol

from parkmeter.core.events import Event


class GoneError(Exception):
    """Raised by `Receiver.send` when a receiver has unsubscribed."""


class ReadByPeople:
    """A base of receivers for which many top-ups in a short time are one message."""


class Receiver(Protocol):
    """Takes events out of parkmeter."""

    def send(self, event: Event) -> None:
        """Deliver one event, within a few seconds.

        Raises:
            GoneError: the receiver has unsubscribed.
            Exception: delivery failed; the text goes to the log. The caller retries with the same
                `Event.id`, so an event may arrive more than once.

        """
