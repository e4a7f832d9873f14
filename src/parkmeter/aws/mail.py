"""Sending of posted journal entries as mail.

A function that commits an entry posts it in the same transaction; only the clock's function sends,
beside its meters, so that a topic which does not answer delays none of them. An entry is claimed
before it is sent, so overlapping runs send it once; the claim of one that could not be sent has
expired when the next tick comes. The text of a mail is not known here.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError

from parkmeter.aws.definitions import Found
from parkmeter.aws.link_secret import LinkSecret, Parameters, api_address
from parkmeter.aws.wiring import PATIENCE, Ports
from parkmeter.core.digest import WITHIN, digest, may_wait
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

_Result = TypeVar("_Result")

CLAIMED_FOR = timedelta(seconds=45)
"""Longer than one mail takes with all its retries (`wiring.PATIENCE`), and over when the next tick
comes, which then retries."""

_PAGE = 1000
"""Entries looked at: more than one token can add while its top-ups are collected."""

_BEFORE = 20
"""Entries in which a top-up shortly before another is looked for."""

_LONGEST = timedelta(seconds=10)
"""Of one call: the caller decides whether there is time for more."""


class UnmailedError(Exception):
    """Raised when an entry could not be mailed; a later call retries it."""


@dataclass(frozen=True, slots=True)
class Mailer:
    """Sends posted entries. `find` reads definitions; `extend` makes the link of a warning.

    `kinds`: the kinds that are mailed; posted entries of other kinds are dropped.
    """

    store: Store
    outbox: DynamoOutbox
    topic: Receiver
    find: Callable[[Collection[str]], Found]
    extend: Callable[[Entry, Spec], Extension | None]
    now: Callable[[], datetime]
    kinds: Collection[Kind] = MAILED

    def deliver(self) -> bool:
        """Mail the oldest unclaimed entries for a few seconds; return whether more are left.

        Raises:
            UnmailedError: some could not be sent.

        """
        begun = self.now()
        posted = self.outbox.unsent(begun, _PAGE)
        events = self._event_builder({entry.endpoint for entry in posted})
        failed, more, tried = False, False, False
        for entries in self._messages(posted, begun):
            entry, now = entries[-1], self.now()
            if now - begun >= _LONGEST:
                more = True
                break
            until = now + CLAIMED_FOR
            claimed = [one for one in entries if self.outbox.claim(one, now, until)]
            if not claimed:
                continue
            tried = True
            try:
                self._send(events, claimed)
            except BotoCoreError:
                log.exception("%s: not mailed yet: %s", entry.endpoint, entry.why)
                raise UnmailedError from None  # the topic does not answer: skip the other entries
            except Exception:
                log.exception("%s: not mailed yet: %s", entry.endpoint, entry.why)
                failed = True
        if failed:
            raise UnmailedError
        # A page of nothing but top-ups that wait is looked at again by the next tick.
        return more or (tried and len(posted) == _PAGE)

    def _messages(self, posted: Sequence[Entry], now: datetime) -> Iterator[list[Entry]]:
        """Yield the entries of each mail that is due.

        A top-up soon after another one waits until it is a minute old, for others to be mailed with
        it, or until another event of its endpoint is to follow.
        """
        held: dict[str, list[Entry]] = {}
        for entry in posted:
            waiting = held.get(entry.endpoint)
            if may_wait(entry) and (waiting or self._follows_another(entry)):
                held.setdefault(entry.endpoint, []).append(entry)
                continue
            if waiting:
                yield held.pop(entry.endpoint)
            yield [entry]
        for waiting in held.values():
            if now - waiting[0].at >= WITHIN:
                yield waiting

    def _follows_another(self, entry: Entry) -> bool:
        """Return whether there was a top-up of the same endpoint shortly before."""
        earlier = self.store.journal(entry.endpoint, _BEFORE, entry.number)
        return any(may_wait(one) and entry.at - one.at < WITHIN for one in earlier)

    def _send(self, events: EventBuilder, entries: Sequence[Entry]) -> None:
        event = events.event(entries[-1])
        if event is not None:
            self.topic.send(digest(event, entries))
        for entry in entries:
            self.outbox.sent(entry)

    def _event_builder(self, names: Collection[str]) -> EventBuilder:
        specs = {name: one.spec for name, one in self.find(names).definitions.items()}

        def spec(name: str) -> Spec:
            return specs.get(name) or Spec(name)

        def extend(warning: Entry) -> Extension | None:
            return self.extend(warning, spec(warning.endpoint))

        return EventBuilder(self.store, extend, self.kinds)


class EntrySignal:
    """Implements `ports.Notifier` around another one; remembers that an entry was written."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._written = threading.Event()

    def send(self, entry: Entry) -> None:
        """See `ports.Notifier`."""
        self._written.set()
        self._notifier.send(entry)

    def after(
        self, step: Callable[[str], _Result], on_entry: Callable[[], None]
    ) -> Callable[[str], _Result]:
        """Return the same step; at its end `on_entry` is called if an entry was written."""

        def observed(name: str) -> _Result:
            try:
                return step(name)
            finally:
                if self._written.is_set():
                    self._written.clear()
                    on_entry()

        return observed


def mailer_of(
    ports: Ports,
    plain_dynamodb: Any,
    tables: Tables,
    ssm: Parameters,
    find: Callable[[Collection[str]], Found],
) -> Mailer:
    """Return the mailer of this function, from its environment."""
    configured = os.environ["PARKMETER_PUBLIC_URL"]
    parameter = os.environ["PARKMETER_ADDRESS_PARAMETER"]
    secret = LinkSecret(plain_dynamodb, tables.meters)

    def extend(warning: Entry, spec: Spec) -> Extension | None:
        address = configured or api_address(ssm, parameter)
        return None if address is None else extension_of(warning, spec, address, secret())

    return Mailer(
        store=ports.store,
        outbox=DynamoOutbox(plain_dynamodb, tables.meters),
        topic=SnsReceiver(boto3.client("sns", config=PATIENCE), os.environ["PARKMETER_TOPIC_ARN"]),
        find=find,
        extend=extend,
        now=ports.clock.now,
        kinds=[Kind(kind) for kind in os.environ["PARKMETER_MAILED"].split()],
    )
