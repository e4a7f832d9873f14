"""`status`: one line an endpoint, once or as a live countdown.

Between two looks at the gateway the time left is counted down here, by this machine's steady clock:
whether its wall clock and the gateway's agree does not matter.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from parkmeter.cli.connection import chosen
from parkmeter.cli.output import (
    Cell,
    clock_time,
    columns,
    countdown,
    err,
    out,
    plain_json,
    status_word,
)
from parkmeter.client import Client, Endpoint, ParkmeterProblem, UnreachableError
from parkmeter.core.money import written

_LOOK_SECONDS = 3.0
"""Between two looks: a top-up by somebody else is seen before one wonders."""

_FRAMES_A_SECOND = 4
"""More than one, so that no second is skipped."""

_SERVER_ERRORS = 500
_ZERO = timedelta(0)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen last, at `seen` seconds of the steady clock; `lost`: why nothing came since."""

    endpoints: tuple[Endpoint, ...]
    seen: float
    lost: str | None = None


def lines(endpoints: Sequence[Endpoint], now: datetime) -> list[Text]:
    """One line an endpoint. `now` gives the day and the zone that times are shown in."""
    return columns(_cells(endpoint, now) for endpoint in endpoints)


def picture(sight: Sight, steady: float, now: datetime) -> Group:
    """The watch as it looks at `steady` seconds of the steady clock."""
    age = timedelta(seconds=max(0.0, steady - sight.seen))
    shown = [_later(endpoint, age) for endpoint in sight.endpoints]
    if sight.lost is None:
        foot = Text("Ctrl-C leaves; the endpoints stay.", "dim")
    else:
        foot = Text.assemble(
            (f"no answer for {countdown(age)}", "bold red"), f"  {sight.lost} Asking again."
        )
    return Group(*lines(shown, now), *warnings(shown), foot)


def warnings(endpoints: Sequence[Endpoint]) -> list[Text]:
    """One line for each endpoint that closes soon: amber, and red from its last warning on."""
    return [
        Text(
            f"{endpoint.name} stops in {countdown(endpoint.left)}."
            f" More time: parkmeter top-up {endpoint.name} {endpoint.extend_by / _MINUTE:g}",
            "bold red" if endpoint.left <= min(endpoint.warn_before) else "bold yellow",
            no_wrap=True,
            overflow="ellipsis",
        )
        for endpoint in endpoints
        if endpoint.status == "running"
        and _ZERO < endpoint.left <= max(endpoint.warn_before, default=_ZERO)
    ]


def watch(client: Client, name: str | None, *, as_json: bool) -> None:
    """Show the countdown until Ctrl-C; as JSON, or where nobody sees it tick, anew at each look.

    Raises:
        ParkmeterError: the first look fails, or the gateway refuses a later one.

    """
    sight = Sight(chosen(client, name), time.monotonic())
    try:
        if as_json or not out.is_terminal:
            _print_looks(client, name, sight, as_json=as_json)
        else:
            _tick(client, name, sight)
    except KeyboardInterrupt:  # the way to leave it
        return


def _tick(client: Client, name: str | None, first: Sight) -> None:
    last = [first]
    # A console of its own: lines that wrap would be counted wrongly when they are drawn over.
    console = Console(highlight=False)
    with Live(
        get_renderable=lambda: picture(last[0], time.monotonic(), local_now()),
        console=console,
        # By a thread, so that it ticks on while a look takes its time.
        refresh_per_second=_FRAMES_A_SECOND,
    ):
        while True:
            time.sleep(_LOOK_SECONDS)
            last[0] = look(client, name, last[0])


def _print_looks(client: Client, name: str | None, sight: Sight, *, as_json: bool) -> None:
    while True:
        if sight.lost is not None:
            err.print(Text(sight.lost, "bold red"))
        elif as_json:
            plain_json({"endpoints": [endpoint.raw for endpoint in sight.endpoints]})
        else:
            for line in lines(sight.endpoints, local_now()) + warnings(sight.endpoints):
                out.print(line)
        time.sleep(_LOOK_SECONDS)
        sight = look(client, name, sight)


def look(client: Client, name: str | None, before: Sight) -> Sight:
    """What is seen now; if the gateway does not answer, what was seen before, and why."""
    try:
        return Sight(chosen(client, name), time.monotonic())
    except UnreachableError as error:
        return replace(before, lost=error.detail)
    except ParkmeterProblem as problem:
        if problem.status < _SERVER_ERRORS:
            raise
        return replace(before, lost=problem.detail)


def local_now() -> datetime:
    """Now, in this machine's zone."""
    return datetime.now(UTC).astimezone()


def _later(endpoint: Endpoint, age: timedelta) -> Endpoint:
    # While a start is under way the meter stands still; what it really does, the next look tells.
    if endpoint.status != "running":
        return endpoint
    return replace(endpoint, left=max(timedelta(0), endpoint.left - age))


def _cells(endpoint: Endpoint, now: datetime) -> list[Cell]:
    left = until = ""
    if endpoint.left and endpoint.closes_at is not None:
        left = f"{countdown(endpoint.left)} left"
        until = f"until {clock_time(endpoint.closes_at, now)}"
    price = "" if endpoint.price_per_hour is None else f"{written(endpoint.price_per_hour)}/h"
    return [
        endpoint.name,
        status_word(endpoint.status),
        left,
        until,
        _window(endpoint, now),
        price,
        endpoint.reason,
    ]


def _window(endpoint: Endpoint, now: datetime) -> str:
    """What its hours mean for it now; empty without hours."""
    if endpoint.next_window_at is None:
        return ""
    following = clock_time(endpoint.next_window_at, now)
    if endpoint.held:
        return f"held until {following}"
    if endpoint.window_until is not None:
        return f"window until {clock_time(endpoint.window_until, now)}"
    return f"next window {following}"
