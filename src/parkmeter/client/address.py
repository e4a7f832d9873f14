"""The gateway's address and token: from arguments, the environment, or `client.json`."""

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
    """A gateway's address, without a slash at its end, and the token for it, if known."""

    url: str
    token: str | None = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Return whether the gateway is on this machine, where no proxy is needed."""
        host = urlsplit(self.url).hostname or ""
        return host in {"localhost", "::1"} or host.startswith("127.")

    @property
    def is_api_gateway(self) -> bool:
        """Return whether this is API Gateway, which does not stream."""
        host = urlsplit(self.url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def address_of(
    url: str | None,
    token: str | None,
    state: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """Return the address from arguments, else the environment, else the state folder's file.

    The file's token is used only for the file's gateway: no other one may see it.

    Raises:
        NoAddressError: no gateway is known, or the url is not valid.

    """
    value = environment.get("PARKMETER_STATE")
    folder = (state or (Path(value) if value else default_state(environment))).expanduser()
    known = read_client_file(folder)
    url = url or environment.get("PARKMETER_URL") or (known.url if known else None)
    if url is None:
        raise NoAddressError(
            f"No gateway is known: there is no client.json in {folder}. Start a gateway with "
            "`parkmeter up`, or set PARKMETER_URL and PARKMETER_TOKEN."
        )
    origin = _origin(url)
    token = token or environment.get("PARKMETER_TOKEN") or None
    if token is None and known is not None and _origin(known.url) == origin:
        token = known.token
    if token is not None and not (token.isascii() and token.isprintable()):
        raise NoAddressError("The token has invalid characters; copy it again.")
    return Address(url.rstrip("/"), token)


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    named = parts.hostname and parts.hostname.isprintable() and " " not in parts.hostname
    if parts.scheme not in _PORTS or not named or parts.query or parts.fragment:
        raise NoAddressError(
            f"{url!r} is not the address of a gateway, such as http://127.0.0.1:8080 or "
            "https://….execute-api.eu-west-1.amazonaws.com/prod."
        )
    return parts.scheme, parts.hostname or "", port
