"""The commands about time: `status`, `top-up`, `eject`."""

import math
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from parkmeter.cli.connection import chosen, gateway, only_endpoint, wrong_usage
from parkmeter.cli.options import AsJson, MaybeName, State, Url, endpoint_names
from parkmeter.cli.output import clock_time, countdown, err, minutes, out, plain_json
from parkmeter.core.money import written

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, Endpoint


def status(
    name: MaybeName = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="A live countdown.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """How the endpoints are doing.

    Status, time left, until when, price, and the one plain reason.
    """
    from parkmeter.cli import watch as watching

    with gateway(url, state, as_json=as_json, name=name) as client:
        if watch:
            watching.watch(client, name, as_json=as_json)
        elif not as_json:
            for line in watching.lines(chosen(client, name), watching.local_now()):
                out.print(line)
        elif name is None:
            plain_json({"endpoints": [endpoint.raw for endpoint in client.endpoints()]})
        else:
            plain_json(client.endpoint(name).raw)


def top_up(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the endpoint; may be left out if there is one only.",
            autocompletion=endpoint_names,
            show_default=False,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(metavar="MINUTES", help="Fractions allowed.", show_default=False),
    ] = None,
    *,
    dollars: Annotated[
        str | None,
        typer.Option("--dollars", metavar="DOLLARS", help="Instead of minutes: what these buy."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the endpoint runs.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits at most.")] = 1800,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Put minutes on a meter, or as many as dollars buy."""
    name, wanted = first, None
    if dollars is None:
        name, wanted = _minutes(first, second)
    elif second is not None:
        raise wrong_usage("Say minutes or --dollars, not both.")
    elif _number(dollars) is None:
        raise wrong_usage(f"{dollars} is no number of dollars.")
    with gateway(url, state, as_json=as_json, name=name) as client:
        name = only_endpoint(client, name)
        change = client.top_up(name, wanted, dollars=dollars)
        if as_json:
            plain_json(change.raw)
        else:
            from parkmeter.cli.watch import local_now

            until = clock_time(change.closes_at, local_now())
            added = minutes(change.added)
            if dollars is not None and change.dollars is not None:
                added = f"{added} for {written(change.dollars)}"
            out.print(f"{name}  {added}: {countdown(change.left)} left, until {until}")
        if wait:
            _wait(client, name, timeout, as_json=as_json)


def eject(
    name: MaybeName = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """End an endpoint now.

    The remaining time is given up. On a terminal it asks first. If somebody topped
    up meanwhile, nothing is ejected.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        seen = client.endpoint(only_endpoint(client, name))
        if not yes and not as_json and _somebody_is_there():
            typer.confirm(
                f"End {seen.name} now and give up {countdown(seen.left)}?", abort=True, err=True
            )
        change = client.eject(seen.name, expires_at=seen.expires_at)
        if as_json:
            plain_json(change.raw)
        else:
            out.print(f"{seen.name}  ejected, {countdown(-change.added)} given up")


def _minutes(first: str | None, second: str | None) -> tuple[str | None, float]:
    """Name, if there is one, and minutes."""
    name, amount = (None, first) if second is None else (first, second)
    wanted = _number(amount or "")
    if wanted is None:
        raise wrong_usage(
            f"{amount or 'Nothing'} is no number of minutes. Usage: parkmeter top-up [NAME] MINUTES"
        )
    return name, wanted


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _somebody_is_there() -> bool:
    """Whether a question would be answered."""
    return sys.stdin.isatty()


def _wait(client: "Client", name: str, timeout: float, *, as_json: bool) -> None:
    with err.status(f"{name} …") as spinner:

        def show(endpoint: "Endpoint") -> None:
            spinner.update(Text(f"{endpoint.name} {endpoint.status}: {endpoint.reason}"))

        endpoint = client.wait_until_running(name, timeout, on_look=show)
    if as_json:
        plain_json(endpoint.raw)
    else:
        out.print(f"{name}  running, {countdown(endpoint.left)} left")
