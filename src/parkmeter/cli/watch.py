"""`status`: one line per endpoint, once or as a live countdown.

Between two requests the time left is counted down by this machine's steady clock, so that its wall
clock and the gateway's need not agree.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
    local_now,
    out,
    plain_json,
    status_word,
)
from parkmeter.client import Client, Endpoint, ParkmeterProblem, UnreachableError
from parkmeter.core.meter import MAKE_BELIEVE
from parkmeter.core.money import written

_POLL_SECONDS = 3.0

_FRAMES_A_SECOND = 4
"""More than one, so that no second is skipped."""

_SERVER_ERRORS = 500
_ZERO = timedelta(0)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The endpoints at `taken` seconds of the steady clock; `lost`: the error since, if any."""

    endpoints: tuple[Endpoint, ...]
    taken: float
    lost: str | None = None


def lines(endpoints: Sequence[Endpoint], now: datetime) -> list[Text]:
    """Return one line per endpoint, with times in the zone of `now`."""
    return columns(_cells(endpoint, now) for endpoint in endpoints)


def render(snapshot: Snapshot, steady: float, now: datetime) -> Group:
    """Return the screen at `steady` seconds of the steady clock."""
    age = timedelta(seconds=max(0.0, steady - snapshot.taken))
    shown = [_later(endpoint, age) for endpoint in snapshot.endpoints]
    if snapshot.lost is None:
        foot = Text("Ctrl-C exits; the endpoints keep running.", "dim")
    else:
        foot = Text.assemble(
            (f"Connection lost, retrying; data from {countdown(age)} ago.", "bold red"),
            f" {snapshot.lost}",
        )
    return Group(*lines(shown, now), *warnings(shown), foot)


def warnings(endpoints: Sequence[Endpoint]) -> list[Text]:
    """Return a line per endpoint that closes soon: yellow, then red after its last warning."""
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
    """Show the countdown until Ctrl-C; as JSON or in a pipe, print each snapshot instead.

    Raises:
        ParkmeterError: the first request fails, or the gateway refuses a later one.

    """
    first = Snapshot(chosen(client, name), time.monotonic())
    try:
        if as_json or not out.is_terminal:
            _print_snapshots(client, name, first, as_json=as_json)
        else:
            _show_live(client, name, first)
    except KeyboardInterrupt:  # the way to exit
        return


def _show_live(client: Client, name: str | None, first: Snapshot) -> None:
    last = [first]
    # A console without soft wrap: wrapped lines would be miscounted when they are redrawn.
    console = Console(highlight=False)
    with Live(
        get_renderable=lambda: render(last[0], time.monotonic(), local_now()),
        console=console,
        # By a thread, so that the countdown continues during a slow request.
        refresh_per_second=_FRAMES_A_SECOND,
    ):
        while True:
            time.sleep(_POLL_SECONDS)
            last[0] = poll(client, name, last[0])


def _print_snapshots(
    client: Client, name: str | None, snapshot: Snapshot, *, as_json: bool
) -> None:
    while True:
        if snapshot.lost is not None:
            err.print(Text(snapshot.lost, "bold red"))
        elif as_json:
            plain_json({"endpoints": [endpoint.raw for endpoint in snapshot.endpoints]})
        else:
            for line in lines(snapshot.endpoints, local_now()) + warnings(snapshot.endpoints):
                out.print(line)
        time.sleep(_POLL_SECONDS)
        snapshot = poll(client, name, snapshot)


def poll(client: Client, name: str | None, before: Snapshot) -> Snapshot:
    """Return a new snapshot; if the gateway does not answer, the one before with the error."""
    try:
        return Snapshot(chosen(client, name), time.monotonic())
    except UnreachableError as error:
        return replace(before, lost=error.detail)
    except ParkmeterProblem as problem:
        if problem.status < _SERVER_ERRORS:
            raise
        return replace(before, lost=problem.detail)


def _later(endpoint: Endpoint, age: timedelta) -> Endpoint:
    # While a start is under way the meter stands still; the next snapshot shows what it does.
    if endpoint.status != "running":
        return endpoint
    return replace(endpoint, left=max(timedelta(0), endpoint.left - age))


def _cells(endpoint: Endpoint, now: datetime) -> list[Cell]:
    left = until = ""
    if endpoint.left and endpoint.closes_at is not None:
        left = f"{countdown(endpoint.left)} left"
        until = f"until {clock_time(endpoint.closes_at, now)}"
    return [
        endpoint.name,
        status_word(endpoint.status),
        left,
        until,
        _window(endpoint, now),
        _price(endpoint),
        endpoint.reason,
    ]


def _price(endpoint: Endpoint) -> str:
    if endpoint.price_per_hour is None:
        return ""
    price = f"{written(endpoint.price_per_hour)}/h"
    source = endpoint.raw.get("price_source")
    return f"{price} ({source})" if source == MAKE_BELIEVE else price


def _window(endpoint: Endpoint, now: datetime) -> str:
    """Return the state of its schedule; empty without hours."""
    if endpoint.next_window_at is None:
        return ""
    following = clock_time(endpoint.next_window_at, now)
    if endpoint.held:
        return f"held until {following}"
    if endpoint.window_until is not None:
        return f"window until {clock_time(endpoint.window_until, now)}"
    return f"next window {following}"
