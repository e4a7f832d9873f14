"""How much a busy team adds to the store's file in a year."""

from datetime import timedelta

from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import ADA, World

DAYS = 250
"""Working days of a year."""

LIVES, TOP_UPS = 40, 4
"""Of a team of twenty: starts a day, and top-ups of each until the endpoint is stopped."""

SIMULATED = 60
LINES = TOP_UPS + 6
"""Of one life: its top-ups; start, ready, credit, two warnings, stop."""


def test_a_busy_year_takes_a_tenth_of_a_gigabyte(tmp_path):
    path = tmp_path / "parkmeter.sqlite"
    store = SqliteStore(path)
    world = World(Spec("flan-t5", look_again=timedelta(minutes=10)), store=store)

    def size() -> int:
        with store._file.connection() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size

    def live(times: int) -> None:
        for _ in range(times):
            for number in range(TOP_UPS):
                world.service.top_up("flan-t5", Minutes.of(15), ADA, f"{world.now}-{number}")
            world.wind(timedelta(minutes=70))

    live(SIMULATED // 2)
    before, begun = size(), len(world.lines())
    live(SIMULATED // 2)
    assert len(world.lines()) - begun == LINES * SIMULATED // 2
    a_life = (size() - before) / (SIMULATED // 2)
    year = a_life * LIVES * DAYS / 2**20
    assert year < 100
