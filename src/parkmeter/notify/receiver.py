"""The contract of everything that delivers events to the outside: webhook, chat, mailbox."""

from typing import Protocol

from parkmeter.core.events import Event


class GoneError(Exception):
    """Raised by `Receiver.send` when the receiver wants no further events, ever."""


class Receiver(Protocol):
    """An outside recipient of events: a webhook, a chat, a mailbox."""

    def send(self, event: Event) -> None:
        """Deliver one event, within some seconds.

        Raises:
            GoneError: the receiver wants no further events.
            Exception: not delivered, worded for the log; it is retried with the same `Event.id`.
                The receiver may have got it all the same, so it may arrive twice.

        """
