"""Mails what was posted: lines of the journal that people are to hear of.

Whoever commits a line posts it in the same transaction; only the clock's function mails, beside its
meters, so that a topic which does not answer delays none of them. A line is claimed before it is
sent, so that runs that overlap send it once; one that could not be sent is free again when the next
tick comes. What a mail says is not known here.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError

from parkmeter.aws.definitions import Found
from parkmeter.aws.link_secret import LinkSecret, Parameters, found_address
from parkmeter.aws.wiring import PATIENCE, Ports
from parkmeter.core.events import MAILED, Extension
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Spec
from parkmeter.notify.receiver import Receiver
from parkmeter.notify.sns import SnsReceiver
from parkmeter.ports import Notifier, Store
from parkmeter.service.event_builder import EventBuilder, extension_of
from parkmeter.stores.dynamodb import Tables
from parkmeter.stores.dynamodb_outbox import DynamoOutbox

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

CLAIMED_FOR = timedelta(seconds=45)
"""Longer than a mail takes with all its tries (`wiring.PATIENCE`), and over when the next tick
comes, which then tries again."""

_AT_ONCE = 100
_LONGEST = timedelta(seconds=10)
"""Of one call: whoever called decides whether there is time for more."""


class UnmailedError(Exception):
    """Raised when something could not be mailed now; a later call tries it again."""


@dataclass(frozen=True, slots=True)
class Mailing:
    """Sends what is posted. `find` reads definitions; `extend` makes the link of a warning.

    `kinds`: what is mailed; what else was posted is done with.
    """

    store: Store
    outbox: DynamoOutbox
    topic: Receiver
    find: Callable[[Collection[str]], Found]
    extend: Callable[[Entry, Spec], Extension | None]
    now: Callable[[], datetime]
    kinds: Collection[Kind] = MAILED

    def deliver(self) -> bool:
        """Mail the oldest lines that nobody has claimed, for some seconds; whether more are left.

        Raises:
            UnmailedError: some could not be.

        """
        begun = self.now()
        posted = self.outbox.unsent(begun, _AT_ONCE)
        announcing = self._announcing({entry.endpoint for entry in posted})
        failed, more = False, len(posted) == _AT_ONCE
        for entry in posted:
            now = self.now()
            if now - begun >= _LONGEST:
                more = True
                break
            if not self.outbox.claim(entry, now, now + CLAIMED_FOR):
                continue
            try:
                self._tell(announcing, entry)
            except BotoCoreError:
                log.exception("%s: nobody was told yet of: %s", entry.endpoint, entry.why)
                raise UnmailedError from None  # who does not answer will not answer the next one
            except Exception:
                log.exception("%s: nobody was told yet of: %s", entry.endpoint, entry.why)
                failed = True
        if failed:
            raise UnmailedError
        return more

    def _tell(self, announcing: EventBuilder, entry: Entry) -> None:
        event = announcing.event(entry)
        if event is not None:
            self.topic.send(event)
        self.outbox.sent(entry)

    def _announcing(self, names: Collection[str]) -> EventBuilder:
        specs = {name: one.spec for name, one in self.find(names).definitions.items()}

        def spec(name: str) -> Spec:
            return specs.get(name) or Spec(name)

        def extend(warning: Entry) -> Extension | None:
            return self.extend(warning, spec(warning.endpoint))

        return EventBuilder(self.store, extend, self.kinds)


class Bell:
    """Implements `ports.Notifier` before another one: remembers that a line was written."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._rung = threading.Event()

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        self._rung.set()
        self._notifier.send(entry)

    def after(
        self, look: Callable[[str], _Answer], ring: Callable[[], None]
    ) -> Callable[[str], _Answer]:
        """The same look; `ring` is called at its end, if a line was written by then."""

        def heard(name: str) -> _Answer:
            try:
                return look(name)
            finally:
                if self._rung.is_set():
                    self._rung.clear()
                    ring()

        return heard


def mailing_of(
    ports: Ports,
    plain_dynamodb: Any,
    tables: Tables,
    ssm: Parameters,
    find: Callable[[Collection[str]], Found],
) -> Mailing:
    """The mailing of this function, from its environment."""
    configured = os.environ["PARKMETER_PUBLIC_URL"]
    parameter = os.environ["PARKMETER_ADDRESS_PARAMETER"]
    secret = LinkSecret(plain_dynamodb, tables.meters)

    def extend(warning: Entry, spec: Spec) -> Extension | None:
        address = configured or found_address(ssm, parameter)
        return None if address is None else extension_of(warning, spec, address, secret())

    return Mailing(
        store=ports.store,
        outbox=DynamoOutbox(plain_dynamodb, tables.meters),
        topic=SnsReceiver(boto3.client("sns", config=PATIENCE), os.environ["PARKMETER_TOPIC_ARN"]),
        find=find,
        extend=extend,
        now=ports.clock.now,
        kinds=[Kind(kind) for kind in os.environ["PARKMETER_MAILED"].split()],
    )
