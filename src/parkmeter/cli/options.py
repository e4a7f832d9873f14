"""The arguments and options that many commands share, and the completion of endpoint names."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

_COMPLETION_SECONDS = 1.0
"""Whoever pressed the tab key waits."""


def endpoint_names(context: typer.Context, incomplete: str) -> list[str]:
    """The gateway's endpoints that begin so; none if it does not answer at once."""
    with suppress(Exception):  # nothing may be printed into a half-written line
        from parkmeter.client import Client

        given: dict[str, Any] = context.params
        with Client(
            given.get("url"), state=given.get("state"), timeout=_COMPLETION_SECONDS, patience=0
        ) as client:
            names = [endpoint.name for endpoint in client.endpoints()]
        return [name for name in names if name.startswith(incomplete)]
    return []


Name = Annotated[str, typer.Argument(help="Name of the endpoint.", autocompletion=endpoint_names)]
MaybeName = Annotated[
    str | None,
    typer.Argument(
        help="Name of the endpoint; may be left out.",
        autocompletion=endpoint_names,
        show_default=False,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Address of the gateway; its token comes from PARKMETER_TOKEN. Also PARKMETER_URL.",
        show_default=False,
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        help="State folder whose gateway is meant. Also PARKMETER_STATE.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's own JSON.")]
