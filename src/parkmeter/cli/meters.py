"""The commands `status`, `top-up` and `eject`."""

import math
import shlex
import sys
import uuid
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from parkmeter.cli.command import Argument, Option
from parkmeter.cli.connection import Exit, chosen, gateway, only_endpoint, wrong_usage
from parkmeter.cli.options import AsJson, MaybeName, State, Url, endpoint_names
from parkmeter.cli.output import clock_time, countdown, err, local_now, minutes, out, plain_json
from parkmeter.core.money import written

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, Endpoint


def status(
    name: MaybeName = None,
    *,
    watch: Annotated[bool, Option("--watch -w", help="Live countdown until Ctrl-C.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show each endpoint's status and time left.

    Also its price, and the reason for its status.
    """
    from parkmeter.cli import watch as watcher

    with gateway(url, state, as_json=as_json, name=name) as client:
        if watch:
            watcher.watch(client, name, as_json=as_json)
        elif not as_json:
            for line in watcher.lines(chosen(client, name), local_now()):
                out.print(line)
        elif name is None:
            plain_json({"endpoints": [endpoint.raw for endpoint in client.endpoints()]})
        else:
            plain_json(client.endpoint(name).raw)


def top_up(
    first: Annotated[
        str | None,
        Argument(
            metavar="NAME",
            help="Name of the endpoint; optional if there is only one.",
            complete=endpoint_names,
        ),
    ] = None,
    second: Annotated[
        str | None,
        Argument(metavar="MINUTES", help="Minutes to add; fractions allowed."),
    ] = None,
    *,
    dollars: Annotated[
        str | None,
        Option("--dollars", metavar="DOLLARS", help="Buy time for dollars instead."),
    ] = None,
    key: Annotated[
        str | None,
        Option(help="Idempotency key: used again, it adds nothing."),
    ] = None,
    wait: Annotated[bool, Option("--wait", help="Wait until the endpoint runs.")] = False,
    timeout: Annotated[float, Option(help="Most seconds to wait with --wait.")] = 1800,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Add minutes to a meter.

    Or as many as --dollars buy at the present price.
    """
    name, amount = first, None
    if dollars is None:
        name, amount = _name_and_minutes(first, second)
    elif second is not None:
        raise wrong_usage("Give either MINUTES or --dollars, not both.")
    elif _number(dollars) is None:
        raise wrong_usage(f"How many dollars? {dollars!r} is not a number.")
    key = key or str(uuid.uuid4())
    given = [word for word in (first, second) if word is not None]
    given += [] if dollars is None else ["--dollars", dollars]
    repeat = shlex.join(["parkmeter", "top-up", *given, "--key", key])
    with gateway(url, state, as_json=as_json, name=name, repeat=repeat) as client:
        name = only_endpoint(client, name)
        change = client.top_up(name, amount, dollars=dollars, key=key)
        if as_json:
            plain_json(change.raw)
        else:
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
    yes: Annotated[bool, Option("--yes -y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Stop an endpoint now.

    Its remaining time is given up. On a terminal it asks first. If the meter was topped up in the
    meantime, nothing happens.
    """
    with gateway(url, state, as_json=as_json, name=name) as client:
        seen = client.endpoint(only_endpoint(client, name))
        if not yes and not as_json and _is_interactive():
            _confirm(f"Stop {seen.name} now and give up {countdown(seen.left)}?")
        change = client.eject(seen.name, expires_at=seen.expires_at)
        if as_json:
            plain_json(change.raw)
        else:
            out.print(f"{seen.name}  ejected, {countdown(-change.added)} given up")


def _name_and_minutes(first: str | None, second: str | None) -> tuple[str | None, float]:
    name, text = (None, first) if second is None else (first, second)
    amount = _number(text or "")
    if amount is None:
        raise wrong_usage(
            "How many minutes? Usage: parkmeter top-up [NAME] MINUTES, for example 30."
        )
    return name, amount


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes."""
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        sys.stderr.write("Nothing was changed.\n")
        raise SystemExit(Exit.ERROR)


def _is_interactive() -> bool:
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
