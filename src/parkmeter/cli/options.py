"""Arguments and options shared by the commands, and the completion of endpoint names."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from parkmeter.cli.command import Argument, Option

_COMPLETION_SECONDS = 1.0
"""Completion waits no longer for the gateway."""


def endpoint_names(given: Mapping[str, Any], beginning: str) -> list[str]:
    """Return the gateway's endpoints with this prefix; none if it does not reply at once."""
    with suppress(Exception):  # completion must print nothing into a half-typed line
        from parkmeter.client import Client

        with Client(
            given.get("url"), state=given.get("state"), timeout=_COMPLETION_SECONDS, patience=0
        ) as client:
            names = [endpoint.name for endpoint in client.endpoints()]
        return [name for name in names if name.startswith(beginning)]
    return []


MaybeName = Annotated[
    str | None,
    Argument(
        help="Name of the endpoint.",
        complete=endpoint_names,
    ),
]
Url = Annotated[
    str | None,
    Option(
        help="Address of the gateway, used with PARKMETER_TOKEN. Also PARKMETER_URL.",
        metavar="URL",
    ),
]
State = Annotated[
    Path | None,
    Option(help="State folder of the gateway. Also PARKMETER_STATE."),
]
AsJson = Annotated[bool, Option("--json", help="Print JSON.")]
