"""Where the gateway is and which token it gets: from arguments, environment, or `client.json`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from parkmeter.client.errors import NoAddressError
from parkmeter.client_file import default_state, read_client_file

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address without a slash at its end, and the token for it; None: none is known."""

    url: str
    token: str | None = field(repr=False)

    @property
    def here(self) -> bool:
        """Whether the gateway is on this very machine, where no proxy leads."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    @property
    def one_piece(self) -> bool:
        """Whether answers come in one piece: API Gateway does not stream."""
        host = urlsplit(self.url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def address_of(
    url: str | None,
    token: str | None,
    state: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Arguments first, then PARKMETER_URL and PARKMETER_TOKEN, then the state folder's file.

    The file's token goes to the file's gateway only: it was not made for any other.

    Raises:
        NoAddressError: no gateway is known, or the url is none.

    """
    named = state or (Path(said) if (said := environment.get("PARKMETER_STATE")) else None)
    folder = (named or default_state(environment)).expanduser()
    known = read_client_file(folder)
    url = url or environment.get("PARKMETER_URL") or (known.url if known else None)
    if url is None:
        raise NoAddressError(
            f"No gateway is known: there is no client.json in {folder}. Start one with "
            "`parkmeter up`, or say where one is with PARKMETER_URL and PARKMETER_TOKEN."
        )
    origin = _origin(url)
    token = token or environment.get("PARKMETER_TOKEN") or None
    if token is None and known is not None and _origin(known.url) == origin:
        token = known.token
    if token is not None and not (token.isascii() and token.isprintable()):
        raise NoAddressError("The token has characters that no token has; copy it again.")
    return Address(url.rstrip("/"), token)


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise NoAddressError(
            f"{url!r} is no address of a gateway; one looks like http://127.0.0.1:8080 or "
            "https://….execute-api.eu-west-1.amazonaws.com/prod."
        )
    return parts.scheme, parts.hostname, port
