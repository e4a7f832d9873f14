"""A receiver of events that may be killed between a delivery and the note of it.

Everything is delivered at least once and in the order of the commits, and an entry gives the same
event however often it is delivered.
"""

from typing import Protocol

from parkmeter.core.events import EVENTS, Event
from parkmeter.core.journal import Entry
from parkmeter.service.event_builder import EventBuilder
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from tests.simulation.invariants import same
from tests.simulation.world import MINUTE, World


class Follower(Protocol):
    """A receiver of one deployment."""

    def deliver(self) -> None:
        """Deliver some entries."""

    def finish(self) -> None:
        """Deliver everything that is left; judge whether anything is missing."""


class _Events:
    """The events that were delivered; the same entry must give the same one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._build = EventBuilder(world.store).event
        self._delivered: dict[tuple[str, int], Event | None] = {}

    def add(self, entry: Entry) -> None:
        event, place = self._build(entry), (entry.endpoint, entry.number)
        if self._delivered.setdefault(place, event) != event:
            self._world.checks.fail(
                f"{entry} was delivered as {self._delivered[place]}, then as {event}"
            )

    def missing(self, entries: dict[tuple[str, int], Entry]) -> list[Entry]:
        return [entry for place, entry in entries.items() if place not in self._delivered]


class PlacedFollower:
    """A follower whose place is in the store, as in a local gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events = _Events(world)
        self._restart()

    def deliver(self) -> None:
        world, chance = self._world, self._world.chance
        for posted in world.store.posted(self._place, chance.randrange(1, 6)):
            expected = world.checks.sequence[self._next]
            if not same(posted.entry, expected):
                world.checks.fail(f"delivered {posted.entry} where {expected} was due")
            self._events.add(posted.entry)
            self._place, self._next = posted.place, self._next + 1
            if chance.random() < 0.1:
                self._restart()  # killed: delivered, and not noted
                return
            world.store.passed("hook", posted.place)
            self._saved = self._next

    def finish(self) -> None:
        world = self._world
        while self._saved < len(world.checks.sequence):
            before = self._saved
            for _ in range(20):
                self.deliver()
            if self._saved == before:
                world.checks.fail(f"nothing is delivered after {before} entries")
                return

    def _restart(self) -> None:
        self._saved = getattr(self, "_saved", 0)
        self._place, self._next = self._world.store.follow(["hook"])["hook"], self._saved


class ClaimedFollower:
    """A sender that claims each entry for a while, as on AWS."""

    def __init__(self, world: World, outbox: DynamoOutbox) -> None:
        self._world = world
        self._outbox = outbox
        self._events = _Events(world)

    def deliver(self) -> None:
        world, chance = self._world, self._world.chance
        for entry in self._outbox.unsent(world.time, chance.randrange(1, 6)):
            if not self._outbox.claim(entry, world.time, world.time + MINUTE):
                continue
            self._events.add(entry)
            if chance.random() < 0.1:
                return  # killed: delivered, and not noted
            self._outbox.sent(entry)

    def finish(self) -> None:
        world = self._world
        # Claims end by the wall clock; one that was set back has claims left of a later hour.
        latest = max([world.time, *(entry.at for entry in world.checks.sequence)])
        world.time = max(world.time, latest) + 6 * 60 * MINUTE
        for _ in range(10_000):
            if not self._outbox.unsent(world.time, 1):
                break
            self.deliver()
            world.time += 2 * MINUTE
        posted = {
            (name, number): entry
            for name, lines in world.checks.journal.items()
            for number, entry in enumerate(lines, 1)
            if entry.kind in EVENTS
        }
        if missing := self._events.missing(posted):
            world.checks.fail(f"never delivered: {missing[:3]}")
