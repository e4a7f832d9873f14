"""The clock on AWS over ten thousand meters: what it asks, how long a run is, how late stops are.

The real handler code in wound time (tests/cloud/scale): a call takes 20 ms and 1.5 ms of one
processor, SSM grants 40 calls a second, 16 workers. SageMaker's own rate is not published; it is
tried without one and with 20 a second for each operation. Exact, so there is one round. Reading and
seeing meters one by one took 5,201 calls for a thousand, and the last stop came 225 s late at 20 a
second.

    python -m benchmarks.aws_scale [--smoke]
"""

import logging
from collections.abc import Callable, Iterator

from benchmarks.report import Bound, Claim, Effort, Row, main
from tests.support.scale.fleet import OF_SAGEMAKER, TIMEOUT_SECONDS, Fleet, Invocation
from tests.support.scale.toll import Quota


def measure(effort: Effort) -> Iterator[Row]:
    """`effort.seconds` is the share of the meters that takes part."""
    logging.disable(logging.CRITICAL)  # thousands of refusals
    many = round(1_000 * effort.seconds)
    few = many // 20

    def mixed(n: int) -> float:
        return n - few * 0.4 if n < few else 3600

    for subject, starting, closes_in, a_second, seconds in (
        ("nothing due", 0, lambda _: 3600, None, None),
        ("50 starting, 50 to stop", few, mixed, None, 1.0),
        ("all end within the minute", 0, lambda n: 60 * n / many, None, 1.0),
        # Five calls for each, and the one processor does 1.5 ms for a call.
        ("all end at once", 0, lambda _: 10, None, many * 5 * 0.0015 + 1),
        # As late as the quota alone makes the last one, half as much again.
        ("all end at once, 20 calls/s", 0, lambda _: 10, 20.0, 1.5 * many / 20 + 1),
    ):
        yield from _scenario(subject, many, starting, closes_in, a_second, seconds)


def _scenario(  # noqa: PLR0913, PLR0917 (a row of the table above)
    subject: str,
    many: int,
    starting: int,
    closes_in: Callable[[int], float],
    a_second: float | None,
    late_at_most: float | None,
) -> Iterator[Row]:
    quotas = {"GetParameters": Quota(40)}
    if a_second is not None:
        quotas |= {operation: Quota(a_second) for operation in OF_SAGEMAKER}
    fleet = Fleet(quotas=quotas, events=True)
    fleet.settled(9 * many)
    fleet.running(many - starting, closes_in)
    fleet.starting(starting)
    ticks = fleet.minutes(1 if late_at_most is None else 3)
    fleet.threads.end()
    yield from _figures(subject, ticks, fleet.lateness(), late_at_most)


def _figures(
    subject: str, ticks: list[Invocation], late: list[float], at_most: float | None
) -> Iterator[Row]:
    longest = max(tick.seconds for tick in ticks)
    yield Claim(subject, "longest run", [longest], "s", Bound.AT_MOST, TIMEOUT_SECONDS)
    calls = float(ticks[0].toll.calls.total())
    yield Claim(subject, "calls of the first run", [calls])
    if at_most is not None:
        yield Claim(subject, "median stop after close and drain", [late[len(late) // 2]], "s")
        yield Claim(subject, "last stop after them", [late[-1]], "s", Bound.AT_MOST, at_most)


if __name__ == "__main__":
    main(__doc__, measure, full=Effort(rounds=1), smoke=Effort(rounds=1, seconds=0.1))
