"""The connection of a command to its gateway; errors become messages and exit codes."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from parkmeter.cli.output import err

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, Endpoint, ParkmeterError

_PATIENCE_SECONDS = 3.0
"""Long enough for a gateway to restart, short enough for a person to wait."""


class Exit(IntEnum):
    """Exit codes, documented in `--help`."""

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
    url: str | None,
    state: Path | None,
    *,
    as_json: bool,
    name: str | None = None,
    repeat: str | None = None,
) -> Iterator["Client"]:
    """Open the gateway's client. An error ends the command and prints the next step.

    `name`: the command's endpoint, for the next step. `repeat`: the command that repeats this one
    without counting twice, for a request without a reply.
    """
    from parkmeter.client import Client, ParkmeterError

    try:
        with Client(url, state=state, patience=_PATIENCE_SECONDS) as client:
            yield client
    except ParkmeterError as error:
        _print_error(error, as_json=as_json, name=name, repeat=repeat)
        raise SystemExit(exit_of(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None


def wrong_usage(message: str, step: str = "") -> SystemExit:
    """Print what is wrong with the command; the caller raises what this returns.

    `step`: a command that helps.
    """
    _print(message)
    if step:
        err.print(f"  {step}", markup=False)
    return SystemExit(Exit.USAGE)


def only_endpoint(client: "Client", name: str | None) -> str:
    """Return the given name, or that of the only endpoint."""
    if name is not None:
        return name
    endpoints = client.endpoints()
    if len(endpoints) == 1:
        return endpoints[0].name
    names = ", ".join(endpoint.name for endpoint in endpoints)
    raise wrong_usage(f"Which endpoint? One of {names}." if names else "There are no endpoints.")


def chosen(client: "Client", name: str | None) -> "tuple[Endpoint, ...]":
    """Return the named endpoint, or all."""
    return client.endpoints() if name is None else (client.endpoint(name),)


def exit_of(error: "ParkmeterError") -> Exit:
    """Return the exit code for an error."""
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


def _print_error(
    error: "ParkmeterError", *, as_json: bool, name: str | None, repeat: str | None
) -> None:
    from parkmeter.client import ParkmeterProblem

    if as_json:
        document = {"title": error.title, "detail": error.detail, "code": error.code, **error.data}
        if isinstance(error, ParkmeterProblem):
            document = error.document
        sys.stderr.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
        return
    detail, step = without_calls(error.detail), _next_step(error, name)
    if repeat and _may_be_done(error):
        detail, step = f"{detail} {_NO_REPLY}", repeat
    _print(detail)
    if step:
        err.print(f"  {step}", markup=False)


def _may_be_done(error: "ParkmeterError") -> bool:
    """Return whether a request that failed may have been carried out."""
    from parkmeter.client import ParkmeterProblem, UnreachableError

    match error:
        case UnreachableError():
            return error.sent
        case ParkmeterProblem():
            return error.earlier_sent
        case _:
            return False


_NO_REPLY = (
    "No reply, so we can't tell if it went through. Run it again like this; it won't be counted "
    "twice:"
)


_THEN_THE_CALL = ", then send this request again: "


def without_calls(detail: str) -> str:
    """Return a problem's detail without headers and calls to send: a command has options."""
    shown, call, _ = detail.partition(" With the header ")[0].partition(_THEN_THE_CALL)
    return f"{shown}." if call else shown


def _next_step(error: "ParkmeterError", name: str | None) -> str:
    match error.code, exit_of(error):
        case _, Exit.CLOSED if holder := error.data.get("held_by"):
            return f"parkmeter status {holder}"
        case _, Exit.CLOSED:
            return f"parkmeter top-up {error.data.get('endpoint') or name or 'NAME'} 30 --wait"
        case "not_running", _ if name and "no time" in error.detail:
            return f"parkmeter top-up {name} 30 --wait"
        case "token_missing" | "token_refused" | "http_403" | "http_401", _:
            return "The token comes from PARKMETER_TOKEN, or from the state folder."
        case "not_serving", _:
            return f"parkmeter invoke {name or 'NAME'} … --wait"
        case "expiry_moved", _:
            return f"parkmeter status {name or ''}"
        case _:
            return ""


def _print(message: str) -> None:
    from rich.text import Text

    err.print(Text.assemble(("parkmeter: ", "bold red"), message))
