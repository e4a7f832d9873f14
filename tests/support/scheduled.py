"""Worlds of endpoints with hours, on a wound clock."""

from datetime import UTC, datetime, timedelta

from parkmeter.core.hours import Hours
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Spec
from tests.support.world import World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LOOK = timedelta(minutes=10)
OFFICE = "Mon-Fri 09:00-17:00 Europe/London"
NINE = datetime(2026, 6, 23, 8, tzinfo=UTC)
"""Tuesday, as London has it."""


def spec(*texts: str, name: str = "flan-t5", **more: object) -> Spec:
    return Spec(name, hours=Hours.of(texts or [OFFICE]), look_again=LOOK, **more)


def world(*specs: Spec, at: datetime = NINE - HOUR) -> World:
    made = World(*(specs or (spec(),)))
    made.clock.time = at
    made.service.begin()
    return made


def entries(made: World, kind: Kind, name: str = "flan-t5") -> list[Entry]:
    return [e for e in made.service.journal(name, 100_000)[::-1] if e.kind is kind]


def restarted(made: World) -> None:
    made.service = made.another_service()
    made.service.begin()


def reconfigured(made: World, *specs: Spec) -> None:
    made.specs = {one.name: one for one in specs}
    made.service.configure(made.specs)
    made.service.begin()
