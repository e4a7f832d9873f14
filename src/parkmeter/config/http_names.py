"""Names and values of HTTP headers, and web origins, as settings have them."""

import re

_NAME = r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,128}"
_VALUE = r"[!-~]([ -~]{0,8190}[!-~])?"
_MOST_HEADERS = 32

NOT_SET = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "prefer",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to a connection or are written by the gateway itself."""

ORIGIN = r"[a-z][a-z0-9+.-]*://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
"""A web origin as browsers send it: in lower case, without a path."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_header_name(name: str) -> str:
    """Return the name if a header may have it; raise ValueError otherwise."""
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{name!r} must be a header's name: letters, digits and hyphens")
    if name.lower() in NOT_SET:
        raise ValueError(f"{name!r} is written by the gateway itself")
    return name


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return headers if they can be sent; raise ValueError, without their values, otherwise."""
    if len(headers) > _MOST_HEADERS:
        raise ValueError(f"must be at most {_MOST_HEADERS} headers")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("has the same header twice")
    for name, value in headers.items():
        check_header_name(name)
        if not re.fullmatch(_VALUE, value):
            raise ValueError(f"the value of {name} must be visible ASCII, inner blanks allowed")
    return headers


def check_origin(origin: str) -> str:
    """Return the origin if it is an exact one, as browsers send it; raise ValueError otherwise."""
    if not re.fullmatch(ORIGIN, origin):
        raise ValueError(
            f"{origin!r} must be an exact origin in lower case without a path, such as "
            "'https://chat.example.org' or 'http://localhost:3000'"
        )
    scheme, _, host = origin.partition("://")
    if host.endswith(default := _DEFAULT_PORTS.get(scheme, "/")):
        raise ValueError(f"{origin!r} must not have {default}: browsers leave it out")
    return origin
