"""The JSON of endpoints that were shown before is the one that their shape would have."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from parkmeter.api.dependencies import ApiContext
from parkmeter.api.event_routes import Snapshot
from parkmeter.api.schemas import Endpoint
from parkmeter.core.hours import Hours
from parkmeter.core.meter import Meter, Price, Spec
from parkmeter.core.money import Minutes
from parkmeter.stores import sqlite_rows
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.web.auth import TokenBook
from tests.support.control_routes import token
from tests.support.world import ADA, World

PRICED = {"local": Price(Decimal("7.09"), 'the "list"')}
NAMES = [f"model-{number}" for number in range(20)]


def context_of(world: World, path: dict[str, str]) -> ApiContext:
    resource = lambda name: path.get(name, name)  # noqa: E731
    return ApiContext(world.service, TokenBook([]), resource, lambda: world.now)


@pytest.mark.parametrize("prices", [{}, PRICED])
def test_it_is_the_same_text_at_every_moment_of_a_life(prices):
    odd = Spec("falcon", hours=Hours.of(["Mon-Fri 12:05-12:07 UTC"]), prices=prices)
    world, path = World(Spec("flan-t5", prices=prices), odd), {}
    control = context_of(world, path)
    seen = set()

    def look() -> None:
        for report in world.service.reports():
            shape = control.endpoints.shape(report)
            seen.add(shape.status)
            assert control.endpoints.text(report) == shape.model_dump_json().encode()

    look()
    world.top_up(10)
    for _ in range(90):
        look()
        world.wind(timedelta(seconds=10.123457))
    world.top_up(10)
    world.wind(timedelta(minutes=1))
    look()
    path["flan-t5"] = 'another,"seconds_left":1'
    look()
    world.service.configure({"flan-t5": replace(Spec("flan-t5"), max_top_up=timedelta(1))})
    look()
    world.service.eject("flan-t5", ADA)
    look()
    assert seen >= {"stopped", "starting", "running"}


def test_a_second_look_at_many_makes_no_meter_and_no_shape_of_those_that_stayed(
    tmp_path, monkeypatch
):
    made = []
    read, shape = sqlite_rows.read, Endpoint.of.__func__

    def counted_read(kind, *row, **known):
        if kind is Meter:  # a journal is read again after a top-up
            made.append(kind)
        return read(kind, *row, **known)

    def counted_shape(kind, *given):
        made.append(kind)
        return shape(kind, *given)

    monkeypatch.setattr(sqlite_rows, "read", counted_read)
    monkeypatch.setattr(Endpoint, "of", classmethod(counted_shape))
    world = World(*map(Spec, NAMES), store=SqliteStore(tmp_path / "parkmeter.sqlite"))
    control = context_of(world, {})
    for name in NAMES[:10]:
        world.service.top_up(name, Minutes.of(10), ADA)
    world.wind(timedelta(seconds=5))

    def look() -> list[bytes]:
        return [control.endpoints.text(report) for report in world.service.reports()]

    first = look()
    made.clear()
    world.wind(timedelta(seconds=5))
    second = look()
    assert (len(made), first != second) == (0, True)
    world.service.top_up(NAMES[3], Minutes.of(10), ADA)
    made.clear()
    look()
    assert len(made) == 1


def test_listeners_who_may_see_the_same_get_one_and_the_same_event():
    snapshot = Snapshot({"flan-t5": b"{}", "falcon": b"[]"})
    events = [snapshot.event(token(name)) for name in ("ada-code", "bob-code")]
    assert events[0] is events[1]
    few = [snapshot.event(token(f"{n}-code", endpoints=frozenset({"falcon"}))) for n in "ab"]
    assert few[0] is few[1]
    assert few[0] == b'event: endpoints\ndata: {"endpoints":[[]]}\n\n'
