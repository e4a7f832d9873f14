"""Mails lines of the journal: right after their commit by who committed them, else by a later tick.

So a function that ends between the two, or a topic that does not answer, delays a mail and loses
none. Knows the outbox and the notifier; what a mail says is the notifier's business.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.wiring import Ports
from parkmeter.journal import Entry, Kind
from parkmeter.notify.sns import TOLD
from parkmeter.ports import Notifier
from parkmeter.stores.dynamodb import DynamoStore, Tables
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from parkmeter.telling import told_already

log = logging.getLogger(__name__)

_GRACE = timedelta(minutes=3)
"""Who committed a line is done with it by then: no function waits longer for the topic."""

_LOOK_BACK = 100
"""Lines of the journal. Attempts of one run stand close together."""


@dataclass(frozen=True, slots=True)
class Mailing:
    """Implements `ports.Notifier`. `store` posts what is to be mailed."""

    store: DynamoStore
    outbox: DynamoOutbox
    topic: Notifier

    @classmethod
    def over(cls, client: Any, tables: Tables, topic: Notifier) -> Self:
        """With a store of its own, over the client of boto3's DynamoDB resource."""
        outbox = DynamoOutbox(client, tables.meters)
        return cls(DynamoStore(client, tables, posts=TOLD), outbox, topic)

    def ports(self, ports: Ports) -> Ports:
        """The same ports, so that everything that is committed through them is mailed."""
        return replace(ports, store=self.store, notifier=self)

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`. A failure is mailed once per cause and run."""
        if entry.kind not in TOLD:
            return
        if not self._told_already(entry):
            self.topic.send(entry)
        self.outbox.told(entry)

    def catch_up(self, now: datetime) -> bool:
        """Mail what was left; False if something could not be."""
        try:
            left = self.outbox.untold(now - _GRACE)
        except (BotoCoreError, ClientError):
            log.exception("what is still to be mailed cannot be read")
            return False
        sent = [self._sent(entry) for entry in left]  # one that fails keeps back no other
        return all(sent)

    def _sent(self, entry: Entry) -> bool:
        try:
            self.send(entry)
        except (BotoCoreError, ClientError):
            log.exception("%s: nobody was told yet of: %s", entry.endpoint, entry.why)
            return False
        return True

    def _told_already(self, entry: Entry) -> bool:
        if entry.kind is not Kind.FAILURE:
            return False
        lines = self.store.journal(entry.endpoint, _LOOK_BACK)
        own = next((line.number for line in lines if line.key == entry.key), None)
        return told_already(entry, [line for line in lines if own and line.number < own])
