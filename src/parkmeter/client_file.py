"""`client.json`: the address of the local gateway and a token for it.

The gateway writes it into its state folder; the command line and `parkmeter.Client` read it. Light,
and without locks: reading it must work on a machine that runs no gateway.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

NAME = "client.json"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """The content of the file."""

    url: str
    token: str = field(repr=False)


def default_state(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder used where none is named."""
    base = environment.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "parkmeter"


def read_client_file(state: Path) -> ClientFile | None:
    """Return the file of this state folder; None if it is missing or unreadable."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        document = json.loads((state / NAME).read_text(encoding="utf-8"))
        return ClientFile(url=str(document["url"]), token=str(document["token"]))
    return None
