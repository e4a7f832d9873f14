"""The exactness of meters: life past the close, and the delay from a top-up to the start.

Every life ends with its meter; the figure is how long after the close the stop was called, or
the server was sent its SIGTERM. `fakes` exist in memory, `processes` are real small servers under
leashes; `inside` is the core alone, everything else a whole gateway asked over HTTP, also with a
data plane that 16 clients keep busy from another process. A stop waits for its intent to be on the
disk, so its time for small writes meanwhile is shown, too.

    python -m benchmarks.exactness [--rounds 4] [--seconds 2]     seconds over which meters close

Eight top-ups at once slept for 450 ms in SQLite's busy handler; now they queue.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import report
from benchmarks.exact.disk import watched_disk
from benchmarks.exact.inside import inside
from benchmarks.exact.running import RunningGateway, TopUp, gateway, until
from benchmarks.report import Bound, Claim, Effort, Row

MOST_A_SECOND = 25
"""Meters that close within one second. So a short form has few endpoints."""

First = Callable[[str, float], dict[str, float]]
"""When something first happened to each endpoint since a moment, as notes and fakes tell it."""

LOAD = 16
"""Clients, each of which asks again as soon as it is answered."""

LEAD = 1.3
"""Seconds on a meter at least: a top-up adds a second or more, and time passes until it is sent."""

PATIENCE = 3.0
"""Seconds after the last close for all stops to be seen."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One way to use a gateway: clients, each pausing after a top-up; load beside them."""

    subject: str
    clients: int = 1
    pause: float = 0.02
    load: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of endpoints: how many, seconds each needs until it serves, what tells its end."""

    name: str
    most: int
    needs: float
    ends: str
    scenes: tuple[Scene, ...]


FAKES = Kind(
    "fake",
    50,
    0.05,
    "stop",
    (
        Scene("fakes, gateway"),
        Scene("fakes, gateway, 8 clients top up", clients=8, pause=0.0),
        Scene("fakes, gateway, busy data plane", load=LOAD),
    ),
)
PROCESSES = Kind(
    "process",
    20,
    0.3,
    "sigterm",
    (
        Scene("processes, gateway", pause=0.15),
        Scene("processes, gateway, busy data plane", pause=0.15, load=LOAD),
    ),
)


@dataclass(slots=True)
class Found:
    """Seconds, one list a round."""

    past_the_close: list[list[float]] = field(default_factory=list)
    to_the_start: list[list[float]] = field(default_factory=list)

    def add(self, asked: dict[str, TopUp], begun: float, first: First, end: str) -> None:
        """One round, when it is over. Who is not stopped in time lives until now."""
        give_up = max(one.closes for one in asked.values()) + PATIENCE
        until(lambda: len(first(end, begun)) >= len(asked) or time.time() > give_up)
        starts, ends, now = first("start", begun), first(end, begun), time.time()
        self.past_the_close.append([ends.get(n, now) - one.closes for n, one in asked.items()])
        self.to_the_start.append([starts[n] - one.asked for n, one in asked.items()])

    def rows(self, subject: str) -> Iterator[Row]:
        """Return the claims of the benchmark."""
        yield from _past_the_close(subject, self.past_the_close, median=50, most=500)
        medians = [_median_ms(waits) for waits in self.to_the_start]
        yield Claim(subject, "top-up to start call, median", medians, "ms")
        yield _p99(subject, "top-up to start call, p99", self.to_the_start, 50)


def measure(effort: Effort) -> Iterator[Row]:
    """Measure the core alone, then both kinds of endpoints behind a gateway, then the disk."""
    with watched_disk() as taken:
        yield from _inside(effort)
        yield from _behind_a_gateway(FAKES, effort)
        yield from _behind_a_gateway(PROCESSES, effort)
    yield Claim("the disk meanwhile", "small durable write, median", [_median_ms(taken)], "ms")
    yield Claim("the disk meanwhile", "small durable write, max", [max(taken) * 1000], "ms")


def _inside(effort: Effort) -> Iterator[Row]:
    count = _count(50, effort)
    spread, at_once, soon = Found(), Found(), LEAD + 0.02 * count
    with inside(count) as world:
        for number in range(effort.rounds):
            for found, lead, seconds in ((spread, LEAD, effort.seconds), (at_once, soon, 0.0)):
                begun = time.time()
                closes = [begun + lead + later for later in _spread(count, seconds, number)]
                asked = {
                    name: world.top_up(name, close - time.time())
                    for name, close in zip(world.names, closes, strict=True)
                }
                found.add(asked, begun, world.first, "stop")
    yield from spread.rows(f"{count} fakes, inside")
    yield from at_once.rows(f"{count} fakes, inside, all at one moment")


def _behind_a_gateway(kind: Kind, effort: Effort) -> Iterator[Row]:
    count = _count(kind.most, effort)
    found, killed = [Found() for _ in kind.scenes], Found()
    with gateway(kind.name, count) as running:
        for number in range(effort.rounds):
            for scene, lives in zip(kind.scenes, found, strict=True):
                with running.load(scene.load, 2 * _lead(kind, count) + effort.seconds + PATIENCE):
                    _live_and_end(running, kind, scene, effort, lives, seed=number)
                running.until_all("stopped")
        if kind is PROCESSES:  # fakes have no leash that could end them
            killing = Scene("processes, gateway killed -9", pause=0.15)
            _live_and_end(running, kind, killing, effort, killed, seed=0, kill=True)
    for scene, lives in zip(kind.scenes, found, strict=True):
        yield from lives.rows(f"{count} {scene.subject}")
    if killed.past_the_close:
        subject = f"{count} processes, gateway killed -9"
        yield from _past_the_close(subject, killed.past_the_close, median=2000, most=2000)


def _live_and_end(  # noqa: PLR0913 (all that one round is made of)
    running: RunningGateway,
    kind: Kind,
    scene: Scene,
    effort: Effort,
    found: Found,
    *,
    seed: int,
    kill: bool = False,
) -> None:
    """One round: time for all, and their ends; with `kill` without the gateway from midway on."""
    begun, lead, names = time.time(), _lead(kind, len(running.names)), running.names
    given = [lead + later for later in _spread(len(names), effort.seconds, seed)]
    asked = running.top_up_all(given, scene.clients, scene.pause)
    if kill:
        running.until_all("running")
        running.process.kill()
    found.add(asked, begun, running.notes.first, kind.ends)


def _lead(kind: Kind, count: int) -> float:
    """Seconds on a meter, so that it does not close before the last one serves."""
    return LEAD + kind.needs * count


def _count(most: int, effort: Effort) -> int:
    return min(most, max(1, round(MOST_A_SECOND * effort.seconds)))


def _spread(count: int, seconds: float, seed: int) -> list[float]:
    """Return the times of the closes, in seconds after the first; the same in every run."""
    chance = random.Random(seed)
    return [chance.uniform(0, seconds) for _ in range(count)]


# ── Figures ─────────────────────────────────────────────────────────────────────────────────────


def _past_the_close(
    subject: str, rounds: Sequence[Sequence[float]], *, median: float, most: float
) -> Iterator[Row]:
    medians = [_median_ms(lives) for lives in rounds]
    yield Claim(subject, "life past the close, median", medians, "ms", Bound.AT_MOST, median)
    # Over all rounds: a median of maxima would hide the one that matters.
    longest = max(life for lives in rounds for life in lives) * 1000
    yield Claim(subject, "life past the close, max", [longest], "ms", Bound.AT_MOST, most)


def _p99(subject: str, figure: str, rounds: Sequence[Sequence[float]], target: float) -> Row:
    every = sorted(seconds for one in rounds for seconds in one)
    value = every[round(0.99 * (len(every) - 1))] * 1000
    return Claim(subject, figure, [value], "ms", Bound.AT_MOST, target)


def _median_ms(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000


if __name__ == "__main__":
    report.main(__doc__, measure, full=Effort(4, 2.0), smoke=Effort(1, 0.08))
