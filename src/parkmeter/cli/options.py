"""Arguments and options shared by the commands, and the completion of endpoint names."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

_COMPLETION_SECONDS = 1.0
"""Completion waits no longer for the gateway."""


def endpoint_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the gateway's endpoints with this prefix; none if it does not reply at once."""
    with suppress(Exception):  # completion must print nothing into a half-typed line
        from parkmeter.client import Client

        given: dict[str, Any] = context.params
        with Client(
            given.get("url"), state=given.get("state"), timeout=_COMPLETION_SECONDS, patience=0
        ) as client:
            names = [endpoint.name for endpoint in client.endpoints()]
        return [name for name in names if name.startswith(incomplete)]
    return []


MaybeName = Annotated[
    str | None,
    typer.Argument(
        help="Name of the endpoint.",
        autocompletion=endpoint_names,
        show_default=False,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Address of the gateway, used with PARKMETER_TOKEN. Also PARKMETER_URL.",
        show_default=False,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(help="State folder of the gateway. Also PARKMETER_STATE.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
