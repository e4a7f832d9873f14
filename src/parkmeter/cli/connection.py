"""From a command to its gateway, and from what goes wrong there to words and an exit code."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parkmeter.cli.output import err

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, Endpoint, ParkmeterError

_PATIENCE_SECONDS = 3.0
"""A gateway that restarts is back by then, and a person who asks in vain has not given up yet."""


class Exit(IntEnum):
    """What scripts may rely on; said in `--help`."""

    ERROR = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    CLOSED = 5
    NOT_SERVING = 6
    CONFLICT = 7
    INTERRUPTED = 130


@contextmanager
def gateway(
    url: str | None, state: Path | None, *, as_json: bool, name: str | None = None
) -> Iterator["Client"]:
    """The gateway that is meant. What it refuses ends the command, with the next step.

    `name`: the endpoint that the command is about, for the next step.
    """
    from parkmeter.client import Client, ParkmeterError

    try:
        with Client(url, state=state, patience=_PATIENCE_SECONDS) as client:
            yield client
    except ParkmeterError as error:
        _say(error, as_json=as_json, name=name)
        raise typer.Exit(exit_of(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def wrong_usage(said: str) -> typer.Exit:
    """Say what was wrong with the command; raise what is returned."""
    _print("parkmeter: ", said)
    return typer.Exit(Exit.USAGE)


def only_endpoint(client: "Client", name: str | None) -> str:
    """The endpoint named, or the only one there is."""
    if name is not None:
        return name
    endpoints = client.endpoints()
    if len(endpoints) == 1:
        return endpoints[0].name
    names = ", ".join(endpoint.name for endpoint in endpoints)
    raise wrong_usage(f"Say which endpoint: {names}." if names else "There is no endpoint.")


def chosen(client: "Client", name: str | None) -> "tuple[Endpoint, ...]":
    """The endpoint named, or all."""
    return client.endpoints() if name is None else (client.endpoint(name),)


def exit_of(error: "ParkmeterError") -> Exit:
    """The exit code of an error."""
    from parkmeter import client

    match error:
        case client.UnreachableError() | client.NoAddressError():
            return Exit.UNREACHABLE
        case client.RefusedProblem():
            return Exit.REFUSED
        case client.MeterClosedProblem():
            return Exit.CLOSED
        case client.NotServingProblem() | client.NotRunningError():
            return Exit.NOT_SERVING
        case client.ConflictProblem():
            return Exit.CONFLICT
        case _:
            return Exit.ERROR


def _say(error: "ParkmeterError", *, as_json: bool, name: str | None) -> None:
    from parkmeter.client import ParkmeterProblem

    if as_json:
        document = {"title": error.title, "detail": error.detail, "code": error.code, **error.data}
        if isinstance(error, ParkmeterProblem):
            document = error.document
        sys.stderr.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
        return
    _print("parkmeter: ", for_people(error.detail))
    if step := _next_step(error, name):
        err.print(f"  {step}", markup=False)


def for_people(detail: str) -> str:
    """A problem's words without its advice on headers: a command has options."""
    return detail.partition(" With the header ")[0]


def _next_step(error: "ParkmeterError", name: str | None) -> str:
    match error.code, exit_of(error):
        case _, Exit.CLOSED:
            return f"parkmeter top-up {error.data.get('endpoint') or name or 'NAME'} 30 --wait"
        case "not_running", _ if name and "no time" in error.detail:
            return f"parkmeter top-up {name} 30 --wait"
        case "token_missing" | "token_refused" | "http_403" | "http_401", _:
            return "Commands take the token from PARKMETER_TOKEN, or from the state folder."
        case "not_serving", _:
            return f"parkmeter invoke {name or 'NAME'} … --wait"
        case "expiry_moved", _:
            return f"parkmeter status {name or ''}"
        case _:
            return ""


def _print(title: str, said: str) -> None:
    from rich.text import Text

    err.print(Text.assemble((title, "bold red"), said))
